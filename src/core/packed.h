/*
** packed.h -- products of float matrices with registers of 512 bits, in float
** and in bfloat16. Private to core/, learn/ and embed/; dyn_gemm_ is for
** everybody.
**
** Both pack their operands and keep sums in registers, over blocks of fixed
** length along the inner dimension: each element is added in one order, whatever
** the tiles and threads. In bfloat16 elements are rounded to 8 bits of mantissa
** (to nearest even, the exponent range of float) while they are packed, and
** products are added in float: a relative error of 2^-9 per factor, and less
** than half of the time.
*/
#ifndef DYN_PACKED_H
#define DYN_PACKED_H

#include "core/tensor.h"

/* Has this processor what it takes: AVX-512, and for bfloat16 AVX512-BF16? */
bool dyn_packed_supported(void);
bool dyn_bf16_supported(void);
/*
** c = a b + (add ? c : 0), c (n,m) with rows 'ld' elements apart, a and b with
** one stride of 1. Memory of both operands, rounded up to panels: DYN_ENOMEM.
*/
DYN_STATUS dyn_packed_gemm(float *c, ptrdiff_t ld, const dyn_tensor *a,
                           const dyn_tensor *b, bool add, dyn_err *e);
/*
** The same in bfloat16, c dense; denormals count as 0. DYN_EVALUE: not
** supported, or other strides; DYN_ESHAPE, DYN_ETYPE.
*/
DYN_STATUS dyn_gemm_bf16_(dyn_tensor *c, const dyn_tensor *a,
                          const dyn_tensor *b, bool add, dyn_err *e);

#endif
