--- The public data sets, networks and gene sets that `dynamo fetch NAME` knows.
--
-- Each entry: what it is, where it comes from (`source`, a page or DOI), `licence`, `cite`, `reader` (the function that
-- reads it) with the `options` that fit, and `files`: { name =, url =, size = bytes, md5 = or sha256 = }. Size and digest
-- are there where the archive publishes them and its files never change; what an archive makes anew under one address
-- has none. `unpack = "gzip"`: the file is kept unpacked.

-- scPerturb, version 1.4: counts, obs `perturbation` ("control", "A", "A_B"), `cell_line`; var index symbols.
local function scperturb(name, size, md5)
  return { name = name, url = ("https://zenodo.org/records/13350497/files/%s?download=1"):format(name), size = size,
    md5 = md5 }
end

local SCPERTURB = "https://zenodo.org/records/13350497"
local COUNTS = { perturbation = "perturbation", control = "control" }

return {
  norman2019 = {
    what = "K562, CRISPRa of 105 genes and 131 pairs, 111,445 cells", source = SCPERTURB, licence = "CC BY 4.0",
    cite = "Norman et al. 2019, Science 365:786; Peidli et al. 2024, Nature Methods (scPerturb)",
    reader = "data.read", options = COUNTS,
    files = { scperturb("NormanWeissman2019_filtered.h5ad", 698680199, "c870e6967d91c017d9da827bab183cd6") },
  },
  replogle2022_k562 = {
    what = "K562, CRISPRi of the essential genes, 310,385 cells", source = SCPERTURB, licence = "CC BY 4.0",
    cite = "Replogle et al. 2022, Cell 185:2559; Peidli et al. 2024, Nature Methods (scPerturb)",
    reader = "data.read", options = COUNTS,
    files = { scperturb("ReplogleWeissman2022_K562_essential.h5ad", 1546729675, "d8cba17576d1a8afc0f7d71b79cad0f7") },
  },
  replogle2022_k562_genomewide = {
    what = "K562, CRISPRi of all expressed genes", source = SCPERTURB, licence = "CC BY 4.0",
    cite = "Replogle et al. 2022, Cell 185:2559; Peidli et al. 2024, Nature Methods (scPerturb)",
    reader = "data.read", options = COUNTS,
    files = { scperturb("ReplogleWeissman2022_K562_gwps.h5ad", 8805466154, "13db594f8f1d2ccb88fec44a13e414dc") },
  },
  replogle2022_rpe1 = {
    what = "RPE1, CRISPRi of the essential genes, 247,914 cells", source = SCPERTURB, licence = "CC BY 4.0",
    cite = "Replogle et al. 2022, Cell 185:2559; Peidli et al. 2024, Nature Methods (scPerturb)",
    reader = "data.read", options = COUNTS,
    files = { scperturb("ReplogleWeissman2022_rpe1.h5ad", 1236886900, "cc7f1ec50aeb3a3e1b4a6cfa713d80fa") },
  },
  adamson2016 = {
    what = "K562, CRISPRi around the unfolded protein response, 65,337 cells", source = SCPERTURB, licence = "CC BY 4.0",
    cite = "Adamson et al. 2016, Cell 167:1867; Peidli et al. 2024, Nature Methods (scPerturb)",
    -- labels are names of plasmids (SPI1_pDS255); those without a gene carry the guides that target nothing
    reader = "data.read", options = { perturbation = "perturbation", combine = false,
      control = { "62(mod)_pBA581", "63(mod)_pBA580", "Gal4-4(mod)_pBA582" } },
    files = { scperturb("AdamsonWeissman2016_GSM2406681_10X010.h5ad", 471286951, "2fa44ea61a8dd35742af618638ec65fc") },
  },
  dixit2016 = {
    what = "K562, knock-out of transcription factors, 7 days", source = SCPERTURB, licence = "CC BY 4.0",
    cite = "Dixit et al. 2016, Cell 167:1853; Peidli et al. 2024, Nature Methods (scPerturb)",
    reader = "data.read", options = COUNTS,
    files = { scperturb "DixitRegev2016_K562_TFs_7_days.h5ad" },
  },
  nadig2025_hepg2 = {
    what = "HepG2, CRISPRi of the essential genes, 145,473 cells", source = SCPERTURB, licence = "CC BY 4.0",
    cite = "Nadig et al. 2025, Nature Genetics, doi:10.1038/s41588-025-02169-3 (GSE264667)",
    reader = "data.read", options = COUNTS,
    files = { scperturb("NadigOConner2024_hepg2.h5ad", 850590740, "af2be47f7477cf32fa6e4bec1c6a4868") },
  },
  nadig2025_jurkat = {
    what = "Jurkat, CRISPRi of the essential genes, 262,956 cells", source = SCPERTURB, licence = "CC BY 4.0",
    cite = "Nadig et al. 2025, Nature Genetics, doi:10.1038/s41588-025-02169-3 (GSE264667)",
    reader = "data.read", options = COUNTS,
    files = { scperturb("NadigOConner2024_jurkat.h5ad", 1293665804, "d8b05d00bfbd686d37ffdd4293bc6c8c") },
  },
  mcfaline2024 = {
    what = "A172, T98G, U87MG: CRISPRi under drugs, 878,229 cells", licence = "see the source",
    source = "https://huggingface.co/datasets/altoslabs/perturbench",
    cite = "McFaline-Figueroa et al. 2024, Cell Genomics, doi:10.1016/j.xgen.2023.100487; Wu et al. 2024 (PerturBench)",
    reader = "data.read", options = { perturbation = "condition", control = "control", context = "cell_type" },
    files = { { name = "mcfaline23_gxe_processed.h5ad", unpack = "gzip", size = 5549946093,
      url = "https://huggingface.co/datasets/altoslabs/perturbench/resolve/main/mcfaline23_gxe_processed.h5ad.gz",
      sha256 = "34db710ad850b5b5fd478d123f1c10ae3d5aaa013fce6061be8216ea27aed215" } },
  },
  collectri = {
    what = "transcription factors and their targets, signed", licence = "CC BY 4.0",
    source = "https://zenodo.org/records/8192729", cite = "Müller-Dott et al. 2023, Nucleic Acids Research 51:10934",
    reader = "graph.read", options = {},
    files = { { name = "CollecTRI_regulons.csv", size = 4345649,
      url = "https://zenodo.org/records/8192729/files/CollecTRI_regulons.csv?download=1",
      sha256 = "4473c9189dd53dacc80297709ad1452dda1086a1cc2185f9a56146c261668701" } },
  },
  dorothea = {
    what = "transcription factors and their targets, levels A to C", licence = "academic use (OmniPath's selection)",
    source = "https://omnipathdb.org", cite = "Garcia-Alonso et al. 2019, Genome Research 29:1363",
    reader = "graph.read", options = {},
    files = { { name = "dorothea_abc.tsv", url = "https://omnipathdb.org/interactions/?genesymbols=1&datasets=dorothea"
      .. "&dorothea_levels=A,B,C&fields=dorothea_level&license=academic" } },
  },
  trrust = {
    what = "transcription factors and their targets, from texts", licence = "CC BY-SA 4.0",
    source = "https://www.grnpedia.org/trrust", cite = "Han et al. 2018, Nucleic Acids Research 46:D380",
    reader = "graph.read", options = {},
    files = { { name = "trrust_rawdata.human.tsv",
      url = "https://www.grnpedia.org/trrust/data/trrust_rawdata.human.tsv" } },
  },
  string = {
    what = "associations of human proteins, 0 to 1000, version 12", licence = "CC BY 4.0",
    source = "https://string-db.org", cite = "Szklarczyk et al. 2023, Nucleic Acids Research 51:D638",
    reader = "graph.read", options = { min_score = 700 }, names = 2,
    files = {
      { name = "9606.protein.links.v12.0.txt.gz",
        url = "https://stringdb-downloads.org/download/protein.links.v12.0/9606.protein.links.v12.0.txt.gz" },
      { name = "9606.protein.info.v12.0.txt.gz",
        url = "https://stringdb-downloads.org/download/protein.info.v12.0/9606.protein.info.v12.0.txt.gz" },
    },
  },
  go = {
    what = "Gene Ontology, biological process, gene sets of MSigDB", licence = "CC BY 4.0",
    source = "https://www.gsea-msigdb.org", cite = "Ashburner et al. 2000, Nature Genetics 25:25; Liberzon et al. 2015",
    reader = "annotation.read", options = {},
    files = { { name = "c5.go.bp.v2023.2.Hs.symbols.gmt",
      url = "https://data.broadinstitute.org/gsea-msigdb/msigdb/release/2023.2.Hs/c5.go.bp.v2023.2.Hs.symbols.gmt" } },
  },
}
