--- The options of the functions of dynamo.embed: defaults, types, bounds, help.
local M = {}

local seed_rule = { type = "integer", min = 0, max = 2 ^ 53, help = "default: the seed of the run, else 1" }
local progress_rule = { type = "function", help = "called with (done, total)" }

local fallback_rule = { type = "table", help = "recipes: what gives genes without a vector one, in turn: Graphs, embeddings "
  .. "or their recipes, \"mean\"; see embedding.complete" }

M.node2vec = {
  method = { type = "string", default = "node2vec", values = { "node2vec", "deepwalk", "line" },
    help = "deepwalk: p = q = 1; line: second order, pairs are edges by weight (window 1)" },
  graph = { type = "userdata|string", help = "a Graph, or a file to read one from" },
  dim = { type = "integer", default = 128, min = 1, max = 4096, help = "dimensions" },
  walks = { type = "integer", default = 10, min = 1, max = 100000, help = "walks from every node" },
  length = { type = "integer", default = 80, min = 2, max = 10000, help = "nodes of a walk" },
  window = { type = "integer", default = 10, min = 1, max = 100, help = "largest distance within a walk" },
  p = { type = "number", default = 1, min = 1e-3, max = 1e3, help = "return: larger steps back less often" },
  q = { type = "number", default = 1, min = 1e-3, max = 1e3, help = "in-out: larger stays near" },
  negatives = { type = "integer", default = 5, min = 1, max = 64, help = "negative samples per window" },
  epochs = { type = "integer", default = 1, min = 1, max = 10000, help = "passes, each over new walks" },
  lr = { type = "number", default = 0.025, min = 1e-6, max = 1, help = "learning rate, decays to 0" },
  direction = { type = "string", default = "both", values = { "both", "out", "in" }, help = "edges to walk" },
  weighted = { type = "boolean", default = true, help = "walk in proportion to |weight|" },
  fallback = fallback_rule,
  repel = { type = "boolean", default = false,
    help = "experimental: negative edges are not walked but push their ends apart, as a negative sample of every window; " ..
      "the effect on their cosines is small (some hundredths)" },
  race = { type = "boolean", default = false,
    help = "threads write without waiting for each other (Hogwild): not reproducible with more than one" },
  checkpoint = { type = "string", help = "file to resume from, written 20 times, removed at the end; same bytes" },
  seed = seed_rule,
  progress = progress_rule,
}

M.netmf = {
  graph = { type = "userdata|string", help = "a Graph, or a file to read one from" },
  dim = { type = "integer", default = 128, min = 1, max = 4096, help = "dimensions" },
  method = { type = "string", default = "prone", values = { "prone", "netmf", "netsmf" },
    help = "prone: sparse factorisation and propagation; netmf: the matrix of window steps, dense up to 6,000 nodes; "
      .. "netsmf, and netmf beyond: that matrix from the pairs that walks see" },
  samples = { type = "integer", default = 100, min = 1, max = 100000,
    help = "netsmf: walks from every node; fewer where they make more than 2 million pairs" },
  window = { type = "integer", default = 10, min = 1, max = 100, help = "netmf, netsmf: steps of the walks" },
  negatives = { type = "number", default = 1, min = 1e-3, max = 1000, help = "negative samples" },
  order = { type = "integer", default = 10, min = 1, max = 100, help = "prone: terms of the propagation; 1: none" },
  mu = { type = "number", default = 0.2, min = 0, max = 2, help = "prone: centre of the band of eigenvalues" },
  theta = { type = "number", default = 0.5, min = 1e-3, max = 10, help = "prone: its width" },
  weighted = { type = "boolean", default = true, help = "use |weight|" },
  power = { type = "integer", default = 4, min = 0, max = 100, help = "effort of the SVD: a Krylov space of dim (1 + power / 4) vectors" },
  fallback = fallback_rule,
  seed = seed_rule,
  progress = progress_rule,
}

M.spectral = {
  graph = { type = "userdata|string", help = "a Graph, or a file to read one from" },
  dim = { type = "integer", default = 128, min = 1, max = 512, help = "eigenvectors" },
  laplacian = { type = "string", default = "normalised", values = { "normalised", "random_walk", "adjacency" },
    help = "I - D^-1/2 A D^-1/2, I - D^-1 A, or the largest eigenvalues of A itself" },
  weighted = { type = "boolean", default = true, help = "use |weight|" },
  signed = { type = "boolean", default = false, help = "signed Laplacian: repression pulls apart" },
  diffusion = { type = "number", min = 0, max = 100,
    help = "diffusion map: random-walk vectors times (1 - lambda)^t; give t" },
  components = { type = "string", default = "largest", values = { "largest", "all" },
    help = "embed the largest connected component, or whatever the eigenvectors reach" },
  tol = { type = "number", default = 1e-5, min = 1e-12, max = 0.1, help = "residual of an eigenvector; below 5e-6 in double" },
  fallback = fallback_rule,
  seed = seed_rule,
  progress = progress_rule,
}

M.annotation = {
  sets = { type = "table|string", help = "sets, as dynamo.annotation.read gives them, or GMT files to read" },
  genes = { type = "table", item = "string", help = "rows; default: all genes of the sets" },
  universe = { default = "annotation", values = { "annotation", "rows" },
    help = "genes that set sizes are counted in: all of the annotation, or the rows alone" },
  counted = { type = "table", item = "string", help = "genes that set sizes are counted in, instead" },
  dim = { type = "integer", default = 128, min = 1, max = 4096, help = "singular vectors" },
  min_size = { type = "integer", default = 3, min = 1, help = "smallest set used" },
  max_size = { type = "integer", default = 1000, min = 1, help = "largest set used" },
  power = { type = "integer", default = 6, min = 0, max = 100, help = "effort of the SVD: a Krylov space of dim (1 + power / 4) vectors" },
  fallback = fallback_rule,
  seed = seed_rule,
  progress = progress_rule,
}

M.coexpression = {
  data = { type = "table|string", help = "Responses, { genes =, values = (cells, genes) }, or a file of genes by samples" },
  method = { type = "string", default = "pca", values = { "pca", "node2vec" },
    help = "principal components of the genes, or node2vec on the network of correlations" },
  dim = { type = "integer", default = 128, min = 1, max = 4096, help = "dimensions" },
  rows = { type = "table", item = "integer", min = 1, help = "training rows whose cells count beside the controls" },
  scale = { type = "boolean", default = true, help = "pca: every gene to variance 1" },
  power = { type = "integer", default = 6, min = 0, max = 100, help = "pca: subspace iterations" },
  top = { type = "integer", default = 20, min = 1, max = 4096, help = "network: neighbours of a gene, at most" },
  threshold = { type = "number", default = 0.4, min = 0, max = 1, help = "network: smallest |correlation|" },
  absolute = { type = "boolean", default = true, help = "network: negative correlations count by their size" },
  walk = { type = "table", default = {}, help = "network: options of node2vec" },
  fallback = fallback_rule,
  seed = seed_rule,
  progress = progress_rule,
}

M.text = {
  texts = { type = "table|string", help = "a table file (name, text), { names =, texts = }, or a map from name to text" },
  genes = { type = "table", item = "string", help = "rows; default: all names; idf counts all texts in any case" },
  method = { type = "string", default = "svd", values = { "svd", "skipgram" },
    help = "svd of the terms; or word vectors learned by skip-gram, a gene the weighted mean of its words" },
  dim = { type = "integer", default = 128, min = 1, max = 4096, help = "dimensions" },
  weight = { type = "string", default = "tfidf", values = { "tfidf", "bm25" }, help = "how a word counts" },
  k1 = { type = "number", default = 1.2, min = 0, max = 100, help = "BM25: how soon repeats stop counting" },
  b = { type = "number", default = 0.75, min = 0, max = 1, help = "BM25: how much long texts are discounted" },
  ngrams = { type = "integer", default = 1, min = 1, max = 5, help = "up to so many words in a row are a term" },
  min_df = { type = "integer", default = 3, min = 1, help = "texts that a term must be in" },
  max_share = { type = "number", default = 0.2, min = 1e-9, max = 1, help = "largest share of the texts it may be in" },
  window = { type = "integer", default = 5, min = 1, max = 100, help = "skipgram: largest distance within a text" },
  negatives = { type = "integer", default = 5, min = 1, max = 64, help = "skipgram: negative samples per window" },
  epochs = { type = "integer", default = 10, min = 1, max = 10000, help = "skipgram: passes over the texts" },
  lr = { type = "number", default = 0.025, min = 1e-6, max = 1, help = "skipgram: learning rate, decays to 0" },
  stop = { type = "table|boolean", default = true, help = "words left out: a list; true: English; false: none" },
  power = { type = "integer", default = 5, min = 0, max = 100, help = "svd: a Krylov space of dim (1 + power / 4) vectors" },
  fallback = fallback_rule,
  seed = seed_rule,
  progress = progress_rule,
}

M.random = {
  dim = { type = "integer", default = 128, min = 1, max = 4096, help = "dimensions" },
  genes = { type = "table", item = "string", help = "default: the genes of the data" },
  seed = seed_rule,
  progress = progress_rule,
}

M.read = {
  transpose = { type = "boolean", help = "genes are columns; default: as the file looks" },
  names = { type = "string|table",
    help = "names of the rows of a matrix: a list, a file with one a line, names and rows in two columns, vocab.json" },
  tensor = { type = "string", help = "which tensor of npz or safetensors; of .h5ad: varm/NAME, obsm/NAME, X" },
  norm = { type = "boolean", default = true,
    help = "scGPT: apply the LayerNorm that the model applies to its gene embedding" },
  symbols = { type = "string|table", help = "a table of names (see symbols.read): Ensembl and Entrez ids, aliases and previous "
    .. "symbols become symbols" },
  genes = { type = "table", item = "string", help = "keep these genes; those without a vector are in left_out" },
  dim = { type = "integer", min = 1, max = 4096, help = "as many principal components instead of the columns, if fewer" },
}

M.concat = {
  weights = { type = "table", item = "number", min = 0, help = "one per part; default 1" },
  normalise = { type = "boolean", default = true, help = "scale every part to vectors of length 1 first" },
  seed = seed_rule,
  progress = progress_rule,
}

M.permuted = {
  of = { type = "table", required = true, help = "an embedding or a recipe" },
  seed = seed_rule,
  progress = progress_rule,
}

return M
