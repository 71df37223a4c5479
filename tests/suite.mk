# What `make test` runs. Each command ends with "N passed, N failed".
SPECS54  := LUA_CPATH='$(BUILD)/lua54/?.so;;' $(LUA) tests/lua/run.lua
SPECSJIT := LUA_CPATH='$(BUILD)/luajit/?.so;;' $(LUAJIT) tests/lua/run.lua
SPECSBIN := $(BUILD)/dynamo tests/lua/run.lua
SPECS    := $(if $(wildcard tests/lua/*_spec.lua),"$(SPECS54)" $(if $(HAVEJIT),"$(SPECSJIT)") $(if $(APP),"$(SPECSBIN)"))
EXAMPLES := $(wildcard examples/*.lua)
CLITESTS := $(patsubst %,"DYNAMO=$(BUILD)/dynamo BUILD=$(BUILD) sh %",$(wildcard tests/cli/*.sh)) \
            "sh tests/interop/h5ad.sh $(BUILD)/dynamo" "sh tests/interop/peers.sh $(BUILD)/dynamo" \
            $(if $(EXAMPLES),"sh tests/example.sh $(BUILD)/dynamo $(EXAMPLES)")
# as many at a time as there are cores, unless the caller said
JOBS      = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

##test          everything that must pass; ends with "N passed, N failed"
test: deps
	@$(MAKE) --no-print-directory $(JOBS) run-tests
run-tests: all $(CTESTS)
	@tests/tally.sh 'tests/layers.sh $(LIB)' $(CTESTS) $(SPECS) $(CLITESTS) \
	  '$(MAKE) --no-print-directory fuzz-smoke'
##test-c        the C tests alone
test-c: $(CTESTS)
	@tests/tally.sh $(CTESTS)
##test-cli      the program from outside: commands, installation, other programs' files, examples
test-cli: all
	@tests/tally.sh $(CLITESTS)
##test-lua      the Lua specs alone, on every interpreter
test-lua: all
	@tests/tally.sh $(SPECS)
##test-gc       the specs with a collector that never rests
test-gc: all
	@DYNAMO_TEST_GC=1 tests/tally.sh $(SPECS)
##asan          C tests and specs under address and undefined-behaviour sanitizers
asan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan \
	  CFLAGS='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover' test-c
##asan-lua      the specs on Lua 5.4 under the same; its leaks are found by the specs themselves
asan-lua:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan APP= HAVEJIT= \
	  CFLAGS='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover' $(BUILD)/asan/lua54/dynamo/core.so
	@LUA_CPATH='$(BUILD)/asan/lua54/?.so;;' LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 $(LUA) tests/lua/run.lua $(ONLY:%=tests/lua/%_spec.lua)
##valgrind      the specs under valgrind
valgrind: all
	@tests/tally.sh "LUA_CPATH='$(BUILD)/lua54/?.so;;' valgrind -q --error-exitcode=9 \
	  --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite \
	  $(LUA) tests/lua/run.lua"
.PHONY: test run-tests test-c test-cli test-lua test-gc asan asan-lua valgrind
include tests/fuzz/fuzz.mk
