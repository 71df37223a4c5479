--- What is written in C for simulations: one entry per function of dynamo.core.
return {
  ["simulate_defaults"] = {
    sig = "core.simulate_defaults() -> table",
    doc = "The options of a simulation with their defaults.",
  },
  ["simulate_screen"] = {
    sig = "core.simulate_screen(opts, report) -> table",
    doc = [[
A simulated Perturb-seq screen, with ids where `dynamo.simulate.run` has names. `report(done, total)` is called now
and then with numbers of cells. The table has genes, targets, network, known, condition and line per cell, counts and
x (Sparse, cells x genes), truth: see `dynamo.simulate.run`. Dynamics: Hill regulation and the chemical Langevin
equation (GeneNetWeaver: Schaffter, Marbach and Floreano, Bioinformatics 27, 2011; SERGIO: Dibaeinia and Sinha, Cell
Systems 11, 2020). Raises a string for an option outside its domain; ENOMEM, ECANCEL. Time O(cells (genes + edges));
memory 2 bytes per cell and gene beside the result.]],
  },
}
