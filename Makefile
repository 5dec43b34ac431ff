# pgweir: `make help` lists the targets.  PG_CONFIG chooses the PostgreSQL server.
PG_CONFIG ?= pg_config
JOBS ?= 2
WORKERS ?= 4
prefix ?= /usr/local
export PG_CONFIG
MAKEFLAGS += --no-print-directory
PROVE = test/as-user -o build/check prove -j$(JOBS) --timer --statefile=build/check/state --state=save

SELF = $(sort $(wildcard test/selfcheck/*.t))
UNIT = $(patsubst test/unit/%.c,build/unit/%,$(sort $(wildcard test/unit/*/*_test.c)))
SERVER = $(sort $(wildcard test/server/*.pl))
SCENARIO = $(sort $(wildcard test/scenario/*.t))
DAEMON = $(sort $(wildcard test/sidecar/*.t test/drivers/*.t))

all: sidecar extension ## build sidecar/pgweir and extension/pgweir.so
install: all ## install the daemon, its manual pages and the extension
	@$(MAKE) -C extension install
	install -D -m 755 sidecar/pgweir $(DESTDIR)$(prefix)/bin/pgweir
	install -D -m 644 -t $(DESTDIR)$(prefix)/share/man/man1 doc/pgweir.1
	install -D -m 644 -t $(DESTDIR)$(prefix)/share/man/man5 doc/pgweir.5
	install -D -m 644 -t $(DESTDIR)$(prefix)/share/man/man7 doc/pgweir-extension.7
deps: ## install what building, tests, demo and bench need (apt; root or sudo)
	@test/deps build check bench scenario
demo: tree ## a slow product service, watched and healed (DEMO_SECONDS= PORT=)
	@test/demo/demo
bench: tree deps-bench ## speed, memory, storms and scaling beside PgBouncer and a raw relay; bench-speed, -clients, -scaling, -storms are its parts (BENCH_SECONDS=)
	@test/bench/bench run clients scaling pools storms
bench-speed: tree deps-bench ## cost and latency of a transaction (BENCH_SECONDS=)
	@test/bench/bench run
bench-clients: tree deps-bench ## memory of idle clients, of statements, and a crowd as large as descriptors allow (BENCH_CROWD=)
	@test/bench/bench clients
bench-advisor: tree ## the index advisor: quality by budget, time, planner calls a second (SEARCH_SECONDS=)
	@test/as-user test/bench/advisor
bench-profile: tree deps-bench ## where the instructions of a transaction go (BENCH_PROTOCOL=)
	@test/bench/bench profile
bench-scaling: tree deps-bench ## cost per transaction beside many pools, clients, statements
	@test/bench/bench scaling pools
bench-storms: tree deps-bench ## thousands of logins at once, large copies, a long pipeline
	@test/bench/bench storms
bench-overload: tree deps-bench ## goodput under overload beside PgBouncer (BENCH_SECONDS=)
	@test/bench/overload
bench-report: tree ## cost of measuring and reporting with many clients (BENCH_IDLE= BENCH_POOLS=)
	@test/bench/report
bench-diagnosis: tree ## how long pgweir.diagnosis takes beside many statement classes and pools (BENCH_CLASSES= BENCH_POOLS=)
	@test/as-user test/bench/diagnosis.pl
bench-logins: tree deps-bench ## a storm of logins beside running traffic, beside PgBouncer (BENCH_LOGINS=)
	@test/bench/logins
scenario: tree chain ## a real chain of services with a fault, and what is diagnosed (CAUSE= RUNS= JOBS=)
	@test/scenario/scenario
scenarios: scenario ## the same, for all causes and healthy runs: a confusion matrix (RUNS= JOBS=)
bench-interning: tree ## what several threads that prepare statements cost each other (BENCH_SECONDS=)
	@test/bench/interning
bench-timing: tree ## does the time of a refusal tell whether a user exists? (BENCH_SAMPLES=)
	@test/as-user test/bench/timing.pl
bench-churn: tree ## how long others wait while ever new statements run, beside pg_stat_statements (BENCH_SESSIONS= BENCH_SELECT= BENCH_ROUNDS=)
	@test/bench/churn
bench-extension: tree ## what counting statements costs beside pg_stat_statements (BENCH_ROUNDS=)
	@test/bench/extension
stress-cancel: tree ## racing cancels, none of which may hit the wrong statement (STRESS_SECONDS=)
	@test/stress/cancel
check: unit tree chain ## every test (JOBS= how many at once)
	@$(PROVE) $(SELF) $(UNIT) test/run-regress test/run-pgtap $(SERVER) $(DAEMON) $(SCENARIO)
check-again: tree ## once more, one at a time, the tests that failed in the last run (MOST= not if more files did)
	@test/again $(MOST)
check-self: tree ## the repository's rules: include arrows, symbols, versions
	@$(PROVE) $(SELF)
check-unit: unit ## the daemon's modules with sanitizers; no server, seconds
	@$(PROVE) $(UNIT)
check-regress: tree ## pg_regress
	@$(PROVE) test/run-regress
check-pgtap: tree ## pgTAP
	@$(PROVE) test/run-pgtap
check-server: tree ## the extension in real servers
	@$(PROVE) $(SERVER)
check-sidecar: tree ## the daemon before real servers (BACKEND= io_uring or epoll, SPREAD= even or roam)
	@PGWEIR_TEST_SPREAD=$(SPREAD) PGWEIR_TEST_BACKEND=$(BACKEND) $(PROVE) $(DAEMON)
check-scenario: tree chain ## each cause once in the real chain
	@$(PROVE) -v $(SCENARIO)
# PAM's wrapper must be loaded before the sanitizer, which must be the first; and the sanitizer keeps the memory that memory.t sees go back.
check-tsan: tree ## the daemon's tests under the thread sanitizer (WORKERS= how many threads, SPREAD= even or roam, BACKEND= io_uring or epoll)
	@$(MAKE) -C sidecar SANITIZE=thread
	@TSAN_OPTIONS=suppressions=$(CURDIR)/test/tsan.supp PGWEIR_SIDECAR=$(CURDIR)/build/sidecar-thread/pgweir PGWEIR_TEST_WORKERS=$(WORKERS) PGWEIR_TEST_SPREAD=$(SPREAD) PGWEIR_TEST_BACKEND=$(BACKEND) \
	$(PROVE) $(filter-out %/external.t %/memory.t, $(sort $(wildcard test/sidecar/*.t)))
installcheck: ## pg_regress against the running server, which has pgweir preloaded
	@$(MAKE) -C extension installcheck
docs: all ## write the lists of settings in doc/ and etc/ anew
	@doc/settings
format: ## clang-format in place
	clang-format -i $$(git ls-files '*.c' '*.h')
clean: ## remove what was built
	@$(MAKE) -C sidecar clean
	@! $(PG_CONFIG) --pgxs >/dev/null 2>&1 || $(MAKE) -C extension clean
	rm -rf build
distclean: clean ## remove everything git does not know
	git clean -fdxq
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 18

sidecar: | deps-build
	@$(MAKE) -C sidecar
extension: | deps-build
	@$(MAKE) -s -C extension
unit: | deps-check
	@$(MAKE) -C test/unit
chain: | deps-scenario
	@test/scenario/build
tree: all | deps-check
	@test/private-pg build/pg >/dev/null
deps-check: | deps-build
deps-bench deps-scenario: | deps-check
deps-build deps-check deps-bench deps-scenario: deps-%:
	@test/deps $*
.PHONY: all install deps demo bench bench-logins bench-advisor bench-diagnosis bench-extension bench-interning bench-overload bench-clients bench-profile bench-report bench-scaling bench-speed bench-storms bench-timing scenario scenarios stress-cancel check installcheck docs format clean distclean help sidecar extension unit tree
.PHONY: check-again check-self check-tsan check-unit check-regress check-pgtap check-server check-sidecar check-scenario chain deps-build deps-check deps-bench deps-scenario
