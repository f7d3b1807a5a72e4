int weft_ref_nothing;
