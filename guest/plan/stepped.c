/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/stepped.h"

#include "guest/lib/arena.h"

static enum guest_err stepped_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                   struct guest_err_detail *detail)
{
    struct stepped_plan *p = (struct stepped_plan *)plan;

    while (p->step < p->verbs->nr_steps && plan_room(sink, p->verbs->ops, p->verbs->bytes)) {
        bool more = false;
        enum guest_err err = p->verbs->step(p, p->step, sink, &more, detail);

        if (err)
            return err;
        if (more)
            continue;
        p->step++;
        p->at = 0;
    }
    *out_done = p->step == p->verbs->nr_steps;
    return GUEST_OK;
}

static void stepped_free(struct plan *plan)
{
    struct stepped_plan *p = (struct stepped_plan *)plan;

    if (p->verbs->forget)
        p->verbs->forget(p);
    free(plan);
}

static const struct plan_verbs stepped_plan_verbs = {.next = stepped_next, .free = stepped_free};

void stepped_init(struct stepped_plan *plan, const struct stepped_verbs *verbs)
{
    plan->plan.verbs = &stepped_plan_verbs;
    plan->verbs = verbs;
    plan->step = 0;
    plan->at = 0;
}

void stepped_skip_all(struct stepped_plan *plan)
{
    plan->step = plan->verbs->nr_steps;
}
