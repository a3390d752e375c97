/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan that is a row of steps, each of which yields its ops in one go or piece by piece.
 */
#ifndef INSTAR_GUEST_PLAN_STEPPED_H
#define INSTAR_GUEST_PLAN_STEPPED_H

#include "guest/plan/plan.h"

struct stepped_plan;

struct stepped_verbs {
    /*
     * Yields the ops of a step, or a piece of them.
     *
     * out:     *out_more is false: set it when the step has not come to its end
     */
    enum guest_err (*step)(struct stepped_plan *plan, unsigned step, struct plan_sink *sink,
                           bool *out_more, struct guest_err_detail *detail);

    /* Gives back what the plan holds beside itself; may be NULL. */
    void (*forget)(struct stepped_plan *plan);
    unsigned nr_steps;
    uint32_t ops;   /* at most so many in one call of step */
    uint64_t bytes; /* and so many bytes of writes in these */
};

/* The head of a plan of this kind, which is one allocation from malloc. */
struct stepped_plan {
    struct plan plan;
    const struct stepped_verbs *verbs;
    unsigned step;
    uint64_t at; /* inside the step; 0 at its start; the step's to change */
};

/* Makes the plan start with its first step. */
void stepped_init(struct stepped_plan *plan, const struct stepped_verbs *verbs);

/* Makes it a plan of no ops. */
void stepped_skip_all(struct stepped_plan *plan);

#endif
