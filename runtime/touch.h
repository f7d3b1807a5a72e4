/* First touch: Linux puts a page of memory on the node of the thread that touches it first. */
#ifndef WEFT_RUNTIME_TOUCH_H
#define WEFT_RUNTIME_TOUCH_H

#include "runtime/graph.h"

/* Who should own each unit of a graph's memory: unit i holds the bytes from (base rounded down to a
 * multiple of unit) + i·unit. Parameters, gradients, optimizer state and activations are owned by
 * their place in the tensor, as tasks are dealt: thread t of n has the bytes from t/n to (t+1)/n.
 * Where tensors share a unit, the one with most of it decides. The scratch of a thread is its own.
 * owner (weft_touch_units(g, unit)). False: out of memory. */
bool weft_touch_owners(const weft_graph *g, size_t unit, size_t threads, unsigned short *owner);
size_t weft_touch_units(const weft_graph *g, size_t unit);

/* Touch the memory of a graph that has just been mapped, each page by its owner. */
void weft_touch_first(weft_graph *g);

#endif
