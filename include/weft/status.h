/* Status codes: every fallible call returns one; 0 is success, codes are never reused. */
#ifndef WEFT_STATUS_H
#define WEFT_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEFT_API __attribute__((visibility("default")))
#define WEFT_NODISCARD __attribute__((warn_unused_result))
#define WEFT_FORMAT(f, a) __attribute__((format(printf, f, a)))
#else
#define WEFT_API
#define WEFT_NODISCARD
#define WEFT_FORMAT(f, a)
#endif

/* X(enumerator, value, text) */
#define WEFT_STATUS_LIST(X)                                                                        \
    X(WEFT_OK, 0, "ok")                                                                            \
    X(WEFT_ERR_NULL, 1, "a required pointer is null")                                              \
    X(WEFT_ERR_SHAPE, 2, "shapes do not fit together")                                             \
    X(WEFT_ERR_STRIDE, 3, "bad stride")                                                            \
    X(WEFT_ERR_ALIAS, 4, "operands overlap")                                                       \
    X(WEFT_ERR_DTYPE, 5, "unsupported data type")                                                  \
    X(WEFT_ERR_NOMEM, 6, "out of memory")                                                          \
    X(WEFT_ERR_IO, 7, "input or output failed")                                                    \
    X(WEFT_ERR_FORMAT, 8, "malformed data")                                                        \
    X(WEFT_ERR_VERSION, 9, "unsupported version")                                                  \
    X(WEFT_ERR_ISA, 10, "the machine or this build lacks the instruction set")                     \
    X(WEFT_ERR_STATE, 11, "call not possible in this state")                                       \
    X(WEFT_ERR_INTERNAL, 12, "internal error")                                                     \
    X(WEFT_ERR_ARG, 13, "argument out of range")                                                   \
    X(WEFT_ERR_NONFINITE, 14, "a value is not finite")

enum weft_status {
#define WEFT_STATUS_ENUM(name, value, text) name = value,
    WEFT_STATUS_LIST(WEFT_STATUS_ENUM)
#undef WEFT_STATUS_ENUM
};

/* A short English text for a code; never null. */
WEFT_API const char *weft_status_text(enum weft_status st);

#ifdef __cplusplus
}
#endif
#endif
