/* l_words.c -- vectors of words from sequences of them. */
#include "bind/bind.h"
#include "embed/words.h"

/* Words of the matrix at 'arg' (numbers from 1; 0: none) from 0, in scratch. */
static int32_t *words_of(lua_State *L, int arg, const dyn_tensor *x,
                         ptrdiff_t n) {
  ptrdiff_t rows = x->size[0], len = x->size[1];
  int32_t *seq = dyn_scratch(L, (size_t)(rows * len), sizeof *seq);
  for (ptrdiff_t i = 0; i < rows * len; i++) {
    double v =
        dyn_tensor_get(x, i / len * x->stride[0] + i % len * x->stride[1]);
    luaL_argcheck(L, v >= 0 && v <= (double)n && v == (double)(int32_t)v, arg,
                  "the number of a word, or 0, expected");
    seq[i] = (int32_t)v - 1;
  }
  return seq;
}

/* word_vectors(sequences, words[, opts]): tensor float (words, dim) */
static int word_vectors(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  lua_settop(L, 3);
  const dyn_tensor *x = dyn_checktensor(L, 1);
  ptrdiff_t n = dyn_checkint(L, 2);
  luaL_argcheck(L, x->ndim == 2 && x->size[1] >= 1 && x->size[1] < 1 << 20, 1,
                "a matrix of sequences is expected");
  luaL_argcheck(L, 1 <= n && n <= INT32_MAX, 2, "out of range");
  dyn_skipgram_opts o = {.dim = (int)dyn_fieldint(L, 3, "dim", 128),
                         .window = (int)dyn_fieldint(L, 3, "window", 5),
                         .negatives = (int)dyn_fieldint(L, 3, "negatives", 5),
                         .lr = dyn_fieldnum(L, 3, "lr", 0.025),
                         .seed = (uint64_t)dyn_fieldint(L, 3, "seed", 1)};
  int epochs = (int)dyn_fieldint(L, 3, "epochs", 5);
  if (lua_isnil(L, 3)) lua_newtable(L), lua_replace(L, 3);
  lua_getfield(L, 3, "progress");
  const int32_t *seq = words_of(L, 1, x, n);
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_watch_start(&w, L, 4);
  return dyn_result(L,
                    dyn_word_vectors(r, seq, x->size[0], (int)x->size[1],
                                     (int32_t)n, epochs, &o, &w.poll, &e),
                    &e, 1);
}

static const luaL_Reg funcs[] = {
    {"word_vectors", word_vectors},
    {NULL, NULL},
};

void dyn_open_words(lua_State *L) { luaL_setfuncs(L, funcs, 0); }
