-- What src/bind/l_response.c registers: the response model under dynamo.model.
local spec_doc = [[
`spec`: head ("operator" | "mlp" | "delta"), form ("affine" | "exponential"), how ("product" | "symmetric" | "generator" |
"additive": what combinations do), dim (of embeddings), hidden, depth, latent, rank, own (genes with a learnable part),
width (of the mlp; 0: as many parameters as the operators), genes (of a trained decoder; 0: none).]]
local queries_doc = [[
`queries`: features (Tensor (genes, dim), standardised embeddings), genes (list of lists of rows of features: what each
row perturbs), own (per gene its learnable part or 0; may be absent), state (n, latent: where each row starts, centred
on the controls; absent: the control mean).]]
return {
  ["response_layout"] = {
    sig = [[core.response_layout(spec) -> { { name, size, ... }, ... }]],
    doc = "The parameters of a model, as core.params takes them. Raises EVALUE: a size below 1, rank above latent.\n"
      .. spec_doc,
  },
  ["response_init"] = {
    sig = [[core.response_init(params, spec, seed)]],
    doc = [[Starting values: every operator is the identity, yet every gradient flows. "decoder" is left as it is.]],
  },
  ["response_loss"] = {
    sig = [[core.response_loss(params, spec, queries, lesson) -> number]],
    doc = [[One pass forward and backward: the loss, and its gradient in params:grad(). `lesson`: target (n, latent), or
(n, G) with a decoder; weight (n, 1); mask (n, G); decoder (latent, G) if it is fixed; noise (sd on embeddings), drop
(of hidden units), seed (of both), precision ("float", or "bf16": large products in bfloat16, raises EVALUE where the
processor cannot). The loss is the mean squared error of the prediction from embeddings alone plus, if
genes have learnable parts, that of the prediction with them. Raises EVALUE (an index outside, no rows, a loss that is
not finite), ESHAPE. O(n latent (rank + G) + genes dim hidden).
]] .. queries_doc,
  },
  ["response_predict"] = {
    sig = [[core.response_predict(params, spec, queries) -> Tensor (n, latent)]],
    doc = "The change of state of every row, without noise.\n" .. queries_doc,
  },
  ["response_operator"] = {
    sig = [[core.response_operator(params, spec, queries, gene) -> u, v, b]],
    doc = [[Factors (latent, rank) and shift (latent) of the operator of one gene (a row of features), double: core.operator
makes an Operator of them. Raises EVALUE: an mlp has none.]],
  },
  ["response_width"] = {
    sig = [[core.response_width(spec) -> integer]],
    doc = [[The width at which the mlp has as many parameters as the operators of the same spec.]],
  },
}
