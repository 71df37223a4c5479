/*
** dynamo.h -- the whole library, for programs in C.
**
**   cc hello.c $(pkg-config --cflags --libs dynamo)
**
** Two interfaces. The dynamo_* functions of abi/abi.h work on opaque handles and
** stay binary compatible within a major version (core/version.h): for programs
** that only link, and for foreign function interfaces. The dyn_* functions of
** the other headers are everything else there is, on structures that are
** visible: for programs that are compiled with them.
**
** Functions that can fail return a dyn_status and leave their outputs empty;
** the message is in a dyn_err that the caller owns (or NULL). Nothing prints,
** exits, or keeps state between calls. What ends in _free drops what its argument
** owns (once more is no harm, and so is an empty one), what ends in _name gives a
** constant text. examples/c/hello.c is a first
** program, examples/c/embed.c one on handles.
*/
#ifndef DYNAMO_H
#define DYNAMO_H

/* handles, and which version this is */
#include "abi/abi.h"
#include "core/version.h"

/* numbers */
#include "core/base.h"
#include "core/linalg.h"
#include "core/names.h"
#include "core/ops.h"
#include "core/order.h"
#include "core/rng.h"
#include "core/sparse.h"
#include "core/sparse_stat.h"
#include "core/tensor.h"

/* genes -> vectors */
#include "embed/annotation.h"
#include "embed/graph.h"
#include "embed/neighbours.h"
#include "embed/node2vec.h"
#include "embed/spectral.h"
#include "embed/walk.h"

/* gradients, operators, the model */
#include "koopman/generator.h"
#include "koopman/operator.h"
#include "koopman/response.h"
#include "learn/expr.h"
#include "learn/optim.h"
#include "learn/params.h"
#include "learn/tape.h"

/* scores */
#include "eval/bootstrap.h"
#include "eval/distance.h"
#include "eval/metrics.h"

/* files */
#include "io/edges.h"
#include "io/gmt.h"
#include "io/h5.h"
#include "io/h5ad.h"
#include "io/long.h"
#include "io/model_file.h"
#include "io/sha256.h"
#include "io/sniff.h"
#include "io/table.h"
#include "io/vectors.h"

/* data whose truth is known */
#include "simulate/network.h"
#include "simulate/simulate.h"

#endif
