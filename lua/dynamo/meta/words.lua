-- What src/bind/l_words.c registers: vectors of words.
return {
  ["word_vectors"] = { sig = "core.word_vectors(sequences, words[, opts]) -> tensor float (words, dim)", doc = [[
Skip-gram with negative sampling (Mikolov et al. 2013) over sequences, a matrix with one in a row: numbers of words from 1, 0
where there is none. opts: dim 128, window 5, negatives 5, epochs 5, lr 0.025, seed 1, progress. Same bytes for any number of
threads. Raises EVALUE (no words), ENOCONV (lr too large), ECANCEL. Time O(epochs words window negatives dim).]] },
}
