/*
** bf16.h -- products with 8 bits of mantissa, for training that can bear it.
**
** Operands are float tensors; their elements are rounded to bfloat16 (to
** nearest even, the exponent range of float) while they are packed, products
** are added in float. A relative error of 2^-9 per factor, and half to a third
** of the time of float. Needs a processor with AVX512-BF16.
*/
#ifndef DYN_BF16_H
#define DYN_BF16_H

#include "core/tensor.h"

/* Has this processor what it takes? */
bool dyn_bf16_supported(void);
/*
** c = a b + (add ? c : 0) for float matrices, c dense, a and b with one stride
** of 1. The same bytes for any number of threads; denormals count as 0.
** DYN_EVALUE: not supported, other strides; DYN_ESHAPE, DYN_ETYPE; DYN_ENOMEM.
** Memory 2 bytes per element of a and b, rounded up to panels.
*/
DYN_STATUS dyn_gemm_bf16_(dyn_tensor *c, const dyn_tensor *a,
                          const dyn_tensor *b, bool add, dyn_err *e);

#endif
