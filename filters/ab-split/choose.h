/* Which variant a request gets. */
#ifndef CHOOSE_H
#define CHOOSE_H

#include "config.h"

/* By header, by query, by cookie, else at random by weight. *is_new: the cookie must be set. */
const variant *choose(const config *settings, int *is_new);

#endif
