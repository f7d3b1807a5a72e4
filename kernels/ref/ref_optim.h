/* Optimizers in double, each written as its source prints it (kernels/optim.h unifies them): one
 * scalar parameter, one step. `_torch` follows torch.optim, `_playbook` the Deep Learning Tuning
 * Playbook's FAQ; where there is no suffix they agree. */
#ifndef WEFT_REF_OPTIM_H
#define WEFT_REF_OPTIM_H

struct ref_optim {
    double lr, beta1, beta2, eps, decay; /* beta1 is the momentum, beta2 RMSProp's rho too */
};
struct ref_optim_state {
    double w, m, v;
    double mu_product; /* NAdam of PyTorch; starts at 1 */
    long t;            /* steps done */
};

/* w, m, v, mu_product, t before the first step; v is 1 for rmsprop_playbook, else 0. */
struct ref_optim_state ref_optim_start(const char *name, double w);
/* One step with gradient g. name: "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw",
 * "nadam", "rmsprop_playbook", "adam_playbook", "nadam_playbook", "lars", "signsgd". Returns 0 for an unknown name,
 * else 1. */
int ref_optim_step(const char *name, const struct ref_optim *o, struct ref_optim_state *s,
                   double g);
#endif
