# Fuzzing: one target per parser, with clang's libFuzzer and the sanitizers.
FUZZ_SECONDS ?= 60
FUZZ_CC      ?= clang
FUZZERS      := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_IO      := $(filter-out src/io/h5% src/io/model_file.c src/io/sha256.c,$(wildcard src/io/*.c)) \
                $(patsubst %,src/core/%.c,base names tensor ops sparse)
FUZZ_FLAGS   := -std=c11 -D_GNU_SOURCE -O1 -g -Isrc -fsanitize=fuzzer,address,undefined \
                -fno-sanitize-recover=undefined
FUZZ_LIBS     = $(shell $(PC) --libs libdeflate libzstd zlib) -lm

$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c $(FUZZ_IO) $(wildcard src/io/*.h)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -o $@ $< $(FUZZ_IO) $(FUZZ_LIBS)

##fuzz          every parser for FUZZ_SECONDS (60) under libFuzzer; needs clang
fuzz: $(FUZZERS:%=$(BUILD)/fuzz/%)
	@for t in $(FUZZERS); do \
	  mkdir -p $(BUILD)/fuzz/corpus_$$t $(BUILD)/fuzz/found; \
	  echo "# fuzz $$t: $(FUZZ_SECONDS) s"; \
	  if $(BUILD)/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	    -max_len=65536 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=$(BUILD)/fuzz/found/$$t- \
	    $(BUILD)/fuzz/corpus_$$t tests/fuzz/seeds/$$t >$(BUILD)/fuzz/$$t.log 2>&1; \
	  then echo "ok - $$t: $$(sed -n 's/stat::number_of_executed_units: */executions /p' $(BUILD)/fuzz/$$t.log)"; \
	  else echo "not ok - $$t: see $(BUILD)/fuzz/$$t.log"; fi; \
	done | awk '{ print } /^ok/ { p++ } /^not ok/ { f++ } \
	  END { printf "%d passed, %d failed\n", p, f; exit f > 0 }'
.PHONY: fuzz
