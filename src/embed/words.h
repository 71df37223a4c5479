/*
** words.h -- vectors of words from the sentences they are in: skip-gram with
** negative sampling (Mikolov et al., NIPS 2013) over sequences that are given.
*/
#ifndef DYN_WORDS_H
#define DYN_WORDS_H

#include "embed/skipgram.h"

/*
** r (nword, o->dim) of float from 'nseq' sequences of 'len' items each, words
** 0 .. nword-1, the rest of a sequence -1. Every epoch has them in an order of
** its own. Same bytes for any number of threads.
** DYN_EVALUE: nothing in the sequences, a word outside, epochs < 1, options of
** skip-gram; DYN_ENOCONV: lr too large; DYN_ECANCEL.
** Time O(epochs words window negatives dim), memory O(nseq + nword dim).
*/
DYN_STATUS dyn_word_vectors(dyn_tensor *r, const int32_t *seq, int64_t nseq,
                            int len, int32_t nword, int epochs,
                            const dyn_skipgram_opts *o, const dyn_poll *poll,
                            dyn_err *e);

#endif
