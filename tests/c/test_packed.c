/* Products in float and bfloat16 against a loop over their operands in double. */
#include "core/packed.h"

#include <string.h>

#include "core/linalg.h"
#include "core/rng.h"
#include "test.h"

static double rounded(float x) { /* to nearest even, 8 bits of mantissa */
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  u = (u + 0x7fff + ((u >> 16) & 1)) & 0xffff0000u;
  memcpy(&x, &u, sizeof u);
  return (double)x;
}

static dyn_tensor matrix(ptrdiff_t n, ptrdiff_t m, bool turned, uint64_t seed) {
  dyn_tensor t = {0}, v = {0};
  dyn_rng g = dyn_rng_stream(seed, 0);
  ptrdiff_t size[] = {turned ? m : n, turned ? n : m};
  if (dyn_tensor_new(&t, DYN_F32, 2, size, NULL) != DYN_OK) exit(2);
  for (ptrdiff_t i = 0; i < n * m; i++)
    dyn_f32(&t)[i] = (float)dyn_rng_normal(&g);
  if (!turned) return t;
  dyn_tensor_swap(&v, &t, 0, 1);
  dyn_tensor_free(&t);
  return v;
}

static double same(float x) { return (double)x; }

static double naive(const dyn_tensor *a, const dyn_tensor *b, ptrdiff_t i,
                    ptrdiff_t j, double element(float)) {
  double sum = 0;
  for (ptrdiff_t k = 0; k < a->size[1]; k++)
    sum += element(dyn_f32(a)[i * a->stride[0] + k * a->stride[1]]) *
           element(dyn_f32(b)[k * b->stride[0] + j * b->stride[1]]);
  return sum;
}

static dyn_status product(dyn_tensor *c, const dyn_tensor *a,
                          const dyn_tensor *b, bool add, bool half) {
  return half ? dyn_gemm_bf16_(c, a, b, add, NULL)
              : dyn_packed_gemm(dyn_f32(c), c->size[1], a, b, add, NULL);
}

static void agrees(ptrdiff_t n, ptrdiff_t k, ptrdiff_t m, int turned,
                   bool half) {
  dyn_tensor a = matrix(n, k, turned & 1, 1), b = matrix(k, m, turned & 2, 2);
  dyn_tensor c = matrix(n, m, false, 3), d = matrix(n, m, false, 3);
  double worst = 0;
  dyn_set_threads(1);
  bool good = product(&c, &a, &b, turned & 1, half) == DYN_OK;
  dyn_set_threads(3);
  good &= product(&d, &a, &b, turned & 1, half) == DYN_OK;
  good &= !memcmp(c.data, d.data, (size_t)(n * m) * sizeof(float));
  dyn_tensor was = matrix(n, m, false, 3);
  for (ptrdiff_t i = 0; i < n * m; i++) {
    double x = naive(&a, &b, i / m, i % m, half ? rounded : same);
    if (turned & 1) x += (double)dyn_f32(&was)[i];
    worst = fmax(worst, fabs((double)dyn_f32(&c)[i] - x));
  }
  printf("# %s %td x %td x %td, turned %d: %.2g\n", half ? "bf16" : "float", n,
         k, m, turned, worst);
  OK(good && worst < 2e-6 * (double)(k + 20));
  dyn_tensor_free(&a), dyn_tensor_free(&b), dyn_tensor_free(&was);
  dyn_tensor_free(&c), dyn_tensor_free(&d);
}

static void sizes(bool half) {
  for (int turned = 0; turned < 4; turned++) {
    agrees(1, 1, 1, turned, half);
    agrees(3, 7, 17, turned, half);
    agrees(12, 32, 32, turned, half);
    agrees(33, 513, 65, turned, half);
    agrees(150, 1100, 270, turned, half);
  }
}

int main(void) {
  dyn_tensor a = matrix(30, 40, false, 1), b = matrix(40, 50, true, 2);
  dyn_tensor c = matrix(30, 50, false, 3), odd = {0};
  if (dyn_packed_supported()) {
    sizes(false);
    OUT_OF_MEMORY(dyn_packed_gemm(dyn_f32(&c), 50, &a, &b, false, NULL));
  }
  if (!dyn_bf16_supported()) {
    printf("# skip: no AVX512-BF16\n");
    OK(dyn_gemm_bf16_(&c, &a, &b, false, NULL) == DYN_EVALUE);
  } else {
    sizes(true);
    OUT_OF_MEMORY(dyn_gemm_bf16_(&c, &a, &b, false, NULL));
    OK(dyn_tensor_narrow(&odd, &c, 1, 0, 40, NULL) == DYN_OK);
    OK(dyn_gemm_bf16_(&odd, &a, &b, false, NULL) == DYN_ESHAPE);
    dyn_tensor_free(&odd);
  }
  OK(dyn_gemm_bf16_(&c, &b, &a, false, NULL) != DYN_OK);
  dyn_tensor_free(&a), dyn_tensor_free(&b), dyn_tensor_free(&c);
  return done_testing();
}
