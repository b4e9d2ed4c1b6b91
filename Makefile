# Granary's one interface. `make` prints this help.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-monitoring setup-site setup-api setup-report setup-serve setup-bi setup-mongodb setup-objectstore setup-match setup-dev build diff publish rollback preview scaffold decide fhir-view new-domain retire rebuild-history backfill next-day follow query metric export status take-column extract forget match unmatch release retention migrate login infra-up infra-down infra-env backup restore compact worker rotate restore-drill failover-drill erasure-drill following-drill drill promote rejoin serve api api-key alerts report metrics-endpoint metrics-textfile metrics-database grafana bi bi-export test test-systems prove lint format site docs freshness bench lock clean reveal

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BI_VENV := .venv-bi
UV_VERSION := 0.13.8
TEST_PROCESSES ?= 2

LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	--override requirements/overrides.txt

# Settings that are handed on; `make build TARGET=prod` and `TARGET=prod make build` are the same.
export TARGET ?= dev
export WAREHOUSE_DIR ?= data
ifdef DAYS
export DAYS
endif
ifdef SCALE
export SCALE
endif
# dlt would take it for a setting of its own.
ifdef WORKERS
export GRANARY_WORKERS := $(WORKERS)
endif
unexport WORKERS

# What people type goes to the commands as it is, by the environment: in a recipe make would take `$HOME` for a variable of
# its own, and the shell backticks for a command.
TYPED := Q REASON SCHEMAS TABLES FACT WHERE COLUMNS FOLDER MART SELECT DESCRIPTION COLUMN TENANT VIEW
$(foreach name,$(TYPED),$(if $(value $(name)),$(eval override $(name) := $$(value $(name)))$(eval export $(name))))

# Telemetry of every tool is off.
export DO_NOT_TRACK := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export RUNTIME__DLTHUB_TELEMETRY := false
export SQLFLUFF_TELEMETRY := false

help: ## What can be asked for
	@echo "Granary: an analytics warehouse that a data team clones and runs"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'
	@echo
	@echo "  TARGET=dev|prod|sandbox|lake   DuckDB files (the default), Postgres, your own schemas on it, or DuckLake"
	@echo "  SELECT='<model>+'         build a part, in dbt's words; publishes nothing"
	@echo "  FULL=1                    build everything from raw again"
	@echo "  HOLD=1                    build and test, but publish nothing yet"
	@echo "  BY_DBT=1                  have dbt make all of it, instead of sending again what it sent for the build before"
	@echo "  DOMAINS=<domain>,…        which domains are on, instead of those that dbt_project.yml publishes; none where empty"
	@echo "  DAYS=730 SCALE=1.0        the simulated company: how long and how big"
	@echo "  WORKERS=2                 a lake: so many processes build together, and those of \`make worker\` elsewhere"
	@echo "  WAREHOUSE_DIR=data        where DuckDB's files lie"
	@echo
	@echo "  make export MART=<schema>.<table> FORMAT=parquet   or csv, xlsx, json"
	@echo "  WHERE=… COLUMNS=a,b       which rows and columns"
	@echo "  FOLDER=exports AS_IS=1    where to; leave texts of a CSV file that spreadsheets take for formulas"
	@echo
	@echo "  make take-column COLUMN=<source>.<table>.<column> TYPE=text DESCRIPTION='Where it was sold.'"
	@echo "  AS=<name>                 another name in staging"
	@echo "  PRIVACY=none              or direct_identifier, quasi_identifier, sensitive"
	@echo "  MODEL=<staging model>     which staging models get it, where several read the table"
	@echo "  TRACK=1                   history follows it"

# Nine sets of requirements, of which each holds the ones before it: one that holds more will do.
setup: ## Install what `make build` needs, into .venv; for TARGET=lake on top what that needs
	@$(MAKE) --silent --no-print-directory $(VENV)/.$(call set,dev serve report site api monitoring match lake $(if $(filter lake,$(TARGET)),,default))

setup-match: ## Install what `make match` needs on top
	@$(MAKE) --silent --no-print-directory $(VENV)/.$(call set,dev serve report site api monitoring match)

setup-monitoring: ## Install what `make metrics-endpoint` needs on top
	@$(MAKE) --silent --no-print-directory $(VENV)/.$(call set,dev serve report site api monitoring)

setup-site: ## Install what `make site` needs on top
	@$(MAKE) --silent --no-print-directory $(VENV)/.$(call set,dev serve report site)

setup-report: ## Install what `make report` needs on top
	@$(MAKE) --silent --no-print-directory $(VENV)/.$(call set,dev serve report)

setup-serve: ## Install what `make serve` needs on top
	@$(MAKE) --silent --no-print-directory $(VENV)/.$(call set,dev serve)

setup-api: ## Install what `make api` needs on top
	@$(MAKE) --silent --no-print-directory $(VENV)/.$(call set,dev serve report site api)

setup-bi: setup $(BI_VENV)/.synced ## Install Superset, into an environment of its own

# A server that speaks MongoDB's protocol, which tests run as a process of its own.
setup-mongodb: setup .venv-mongodb/.synced

# And one that speaks S3.
setup-objectstore: setup .venv-objectstore/.synced

setup-dev: ## Install what `make test` and `make lint` need on top
	@$(MAKE) --silent --no-print-directory $(VENV)/.$(call set,dev)

# Of these sets, the largest that is here before, which is kept up to date; where none is, the last.
set = $(firstword $(foreach each,$(1),$(if $(wildcard $(VENV)/.$(each)),$(each))) $(lastword $(1)))

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Granary needs Python 3.11 to 3.13, and $(PYTHON) is {v[0]}.{v[1]}: try make PYTHON=python3.12")'
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) 2>/dev/null \
		|| { echo "FAILED: uv could not be installed by pip: is there a network, and does 'pip download uv' work?"; exit 1; }

$(VENV)/.%: requirements/%.txt | $(BIN)/uv
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python $<
	@rm -f $(addprefix $(VENV)/.,default lake match monitoring api site report serve dev) && touch $@

# What runs beside Granary, in environments of their own: Superset pins what Granary needs newer.
.venv-%/.synced: requirements/%.txt | $(BIN)/uv
	@echo "setting up $(@D)"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(@D)
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(@D)/bin/python $<
	@touch $@

build: setup ## Load the sources, build and test, publish
	@$(BIN)/python -m warehouse build $(if $(SELECT),--select="$$SELECT") $(if $(FULL),--full) $(if $(HOLD),--hold) \
		$(if $(BY_DBT),--by-dbt)

diff: setup ## What publishing would change, table by table, after `make build HOLD=1`
	@$(BIN)/python -m warehouse diff

publish: setup ## Publish what `make build HOLD=1` held back
	@$(BIN)/python -m warehouse publish

rollback: setup ## Give readers the generation before, while no later build has begun
	@$(BIN)/python -m warehouse rollback

preview: setup ## What a database has, and what a scaffold would make of it: SOURCE=<source> (SCHEMAS=, TABLES=)
	@$(BIN)/python -m warehouse preview "$(SOURCE)" --schemas="$$SCHEMAS" --tables="$$TABLES"

scaffold: setup ## A source of a database, with history, tests, docs, a star: SOURCE=<source> (DOMAIN=, SCHEMAS=, TABLES=, FACT=, DRY=1)
	@$(BIN)/python -m warehouse scaffold "$(SOURCE)" --domain "$(DOMAIN)" --schemas="$$SCHEMAS" --tables="$$TABLES" \
		--fact="$$FACT" $(if $(DRY),--dry)

decide: setup ## Say what an undecided column tells of a person: COLUMN=<source>.<table>.<column> PRIVACY=none
	@$(BIN)/python -m warehouse decide "$$COLUMN" "$(PRIVACY)"

fhir-view: setup ## A staging model of a ViewDefinition of SQL on FHIR: VIEW=<file.json> (NAME=, SOURCE=fhir)
	@$(BIN)/python -m warehouse fhir-view "$$VIEW" --name "$(NAME)" --source "$(or $(SOURCE),fhir)"

new-domain: setup ## Lay out a domain that builds, with nothing in it yet: NAME=<domain>
	@$(BIN)/python -m warehouse new-domain "$(NAME)"

retire: setup ## Take a domain from readers, in a publish of its own; raw and history stay: DOMAIN=<domain>
	@$(BIN)/python -m warehouse retire "$(DOMAIN)"

rebuild-history: setup ## Compute all snapshots from raw anew, and say whether anything differs
	@$(BIN)/python -m warehouse rebuild-history

backfill: setup ## Compute the facts of some days again: make backfill FROM=2024-01-01 TO=2024-01-31
	@$(BIN)/python -m warehouse backfill --from "$(FROM)" --to "$(TO)"

next-day: setup ## The simulated company: one more day, built on top
	@$(BIN)/python -m warehouse next-day

follow: setup ## Micro-batches: wait for SOURCE=<source>, load, build, publish, until Ctrl-C (BATCHES=…, BY_DBT=1)
	@$(BIN)/python -m warehouse follow $(SOURCE) $(if $(BATCHES),--batches $(BATCHES)) $(if $(BY_DBT),--by-dbt)

query: setup ## Ask the published marts: make query Q="select ..."
	@$(BIN)/python -m warehouse query -- "$$Q"

export: setup ## A mart as a file: make export MART=<schema>.<table> FORMAT=csv WHERE="business_date >= '2025-01-01'"
	@$(BIN)/python -m warehouse export "$$MART" $(if $(FORMAT),--format "$(FORMAT)") $(if $(WHERE),--where="$$WHERE") \
		$(if $(COLUMNS),--columns="$$COLUMNS") $(if $(FOLDER),--folder="$$FOLDER") $(if $(AS_IS),--as-is)

metric: setup ## Ask for metrics: make metric Q="<metric> by month"; without Q, what there is
	@$(BIN)/python -m warehouse metric $(if $(Q),-- "$$Q")

status: setup ## What is published, what was loaded, what was rejected
	@$(BIN)/python -m warehouse status

# AS names make's own assembler, unless the command line says otherwise.
take-column: setup ## Take a new column of a source over: contract, staging, history (see below)
	@$(BIN)/python -m warehouse take-column "$$COLUMN" --type "$(TYPE)" --description="$$DESCRIPTION" \
		$(if $(findstring command,$(origin AS)),--as "$(AS)") $(if $(PRIVACY),--privacy "$(PRIVACY)") \
		$(if $(MODEL),--model $(MODEL)) $(if $(TRACK),--track)

# Where a file system in memory has room for it, what tests write lies there, and none of them waits for a disk.
IN_MEMORY = $(shell [ "$$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 8000000 ] 2>/dev/null \
	&& echo TMPDIR=/dev/shm)

PYTEST = env -u TARGET -u WAREHOUSE_DIR $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder \
	-rs --durations=15 --durations-min=10 $(PYTEST_ARGS)

test: setup-dev ## Python tests, dbt on DuckDB and on a real Postgres, the site in a browser (ONLY=tiny: the mechanism alone)
	@$(IN_MEMORY) $(PYTEST) -o tmp_path_retention_policy=failed $(if $(ONLY),tests/$(ONLY))

test-systems: setup-dev setup-bi ## What stands beside the warehouse: a production cluster with all its drills, Superset in a browser
	@$(PYTEST) -m systems

prove: setup-dev ## Try to break the promises: kills, paths, readers, planted faults; DOMAIN=…: on it too, real data included (SEED=… again)
	@env -u TARGET -u WAREHOUSE_DIR $(BIN)/python -m tests.prove $(if $(SEED),--seed $(SEED)) $(if $(DOMAIN),--domain $(DOMAIN))

infra-up: setup ## A production Postgres on this machine: primary, replica, pooler, backups (INFRA_DIR, INFRA_PORT)
	@$(BIN)/python -m infra up

infra-down: setup ## Stop it; the data stay
	@$(BIN)/python -m infra down

infra-env: setup ## What an administrator of it exports: eval "$(make -s infra-env)"
	@$(BIN)/python -m infra env

backup: setup ## A checked copy of DuckDB's files (KEEP=7); TARGET=prod: of the cluster, KIND=full or incr
ifneq (,$(filter dev lake,$(TARGET)))
	@$(BIN)/python -m warehouse backup $(if $(FOLDER),--folder="$$FOLDER") $(if $(KEEP),--keep $(KEEP))
else
	@$(BIN)/python -m infra backup $(if $(KIND),--kind $(KIND))
endif

restore: setup ## DuckDB: put a backup in the warehouse's place (BACKUP=folder; the newest unless given)
	@$(BIN)/python -m warehouse restore $(BACKUP)

rotate: setup ## New secrets for it, while it runs: KEY=passwords, certificates or repository; KEY=files: what lies on disk under another key
	@$(BIN)/python -m infra rotate "$(KEY)"

restore-drill: setup ## Restore it beside the running server and prove what is there (TO='2026-01-31 14:05:00+00')
	@$(BIN)/python -m infra restore-drill $(if $(TO),--to "$(TO)")

failover-drill: setup ## Kill its primary under writes, promote the replica, have the old primary follow
	@$(BIN)/python -m infra failover-drill

promote: setup ## Its primary is gone: have the replica take writes
	@$(BIN)/python -m infra promote

rejoin: setup ## Have the former primary follow again, wound back
	@$(BIN)/python -m infra rejoin

erasure-drill: setup ## Forget somebody, restore to before that, see that they are forgotten again
	@$(BIN)/python -m infra erasure-drill

following-drill: setup ## Follow a source's log while somebody works with it, kill loads, compare; then the lag of micro-batches
	@$(BIN)/python -m infra following-drill

drill: setup ## All drills, one after the other
	@$(BIN)/python -m infra drill

extract: setup ## What somebody may read, as a DuckDB file: TENANT=<source>, or ROLE=researcher
	@$(BIN)/python -m warehouse extract "$$TENANT" $(if $(ROLE),--role="$$ROLE") $(if $(FOLDER),--folder="$$FOLDER")

forget: setup ## Erase a person: PERSON=<source>:<id> or an address (DRY=1 says who); without, again after a restore
	@$(BIN)/python -m warehouse forget $(PERSON) $(if $(DRY),--dry)

reveal: setup ## What tokens stand for, to who may read the crosswalk: TOKEN=email_5d0c…
	@$(BIN)/python -m warehouse reveal $(TOKEN)

release: setup ## Begin a release: new keys, drawn at random, under which the next build releases persons
	@$(BIN)/python -m warehouse release

match: setup-match ## Find records of one person by the model in git (LIST=1: what holds; TRAIN=1: a model of your own records)
	@$(BIN)/python -m warehouse match $(if $(SOURCE),--source "$(SOURCE)") $(if $(LIST),--list) $(if $(TRAIN),--train)

unmatch: setup ## Two were merged wrongly: RECORDS='<source>:<id> <source>:<id>' REASON='why' (BACK=1: take that back)
	@$(BIN)/python -m warehouse unmatch $(RECORDS) --reason="$$REASON" $(if $(SOURCE),--source "$(SOURCE)") $(if $(BACK),--back)

compact: setup ## A lake: merge small files, apply deletes, let go of snapshots and files that nobody needs
	@$(BIN)/python -m warehouse compact

worker: setup ## A lake: take part in builds that `make build WORKERS=…` begins, here or on another machine
	@$(BIN)/python -m warehouse worker

retention: setup ## Archive and delete old versions, as the contracts say (DRY=1 says which)
	@$(BIN)/python -m warehouse retention $(if $(DRY),--dry)

migrate: setup ## Postgres: roles, row security, audit, to the newest migration (TO=0001, TO=base: to another)
	@$(BIN)/python -m infra migrate $(TO)

login: setup ## Postgres: make or change a login: LOGIN=anna ROLE=reporter, or ROLE=tenant TENANTS=<source> (LOGIN_PASSWORD)
	@$(BIN)/python -m infra login "$(LOGIN)" --role "$(ROLE)" $(if $(TENANTS),--tenants "$(TENANTS)")

serve: setup-serve ## The clock: Dagster with its page on http://127.0.0.1:3000 (PORT=…); schedules, file sensor, alerts
	@$(BIN)/python -m orchestration $(if $(PORT),--port $(PORT))

api: setup-api ## The marts and metrics over HTTP, on http://127.0.0.1:8080 (PORT=…, HOST=…); see docs/api.md
	@$(BIN)/python -m api serve $(if $(PORT),--port $(PORT)) $(if $(HOST),--host "$(HOST)")

api-key: setup-api ## A key of the API, printed once: LOGIN=anna (DAYS=90; DuckDB: TENANTS=<source>); REVOKE=<key>; without, the list
	@$(BIN)/python -m api key $(if $(LOGIN),--login "$(LOGIN)") $(if $(TENANTS),--tenants "$(TENANTS)") \
		$(if $(findstring command,$(origin DAYS)),--days "$(DAYS)") $(if $(REVOKE),--revoke "$(REVOKE)")

bi: setup-bi ## Superset on the loopback, with the dashboards of operations and of the domains that are on (PORT=8088)
	@BI_VENV=$(BI_VENV) $(BIN)/python -m reports.superset $(if $(PORT),--port $(PORT))

bi-export: setup-bi ## Write Superset's dashboards, as somebody changed them, over the files in reports
	@BI_VENV=$(BI_VENV) $(BIN)/python -m reports.superset --export

report: setup-report ## Send the reports that are due by mail; NAME=<subscription>: that one now (AGAIN=1, DRY=1: into a file); LIST=1
	@$(BIN)/python -m reports.delivery "$(NAME)" $(if $(AGAIN),--again $(if $(filter all,$(AGAIN)),all,missing)) $(if $(DRY),--dry) $(if $(LIST),--list) \
		$(if $(FOLDER),--folder="$$FOLDER")

alerts: setup ## What is wrong now; tells it by webhook and mail (ALERTS__WEBHOOK_URL, ALERTS__SMTP_URL, ALERTS__MAIL_TO)
	@$(BIN)/python -m orchestration.alerts

metrics-endpoint: setup-monitoring ## What Prometheus reads of the warehouse, on http://127.0.0.1:9488/metrics (PORT=…, INTERVAL=60)
	@$(BIN)/python -m infra.monitoring serve $(if $(PORT),--port "$(PORT)") $(if $(INTERVAL),--interval "$(INTERVAL)")

metrics-textfile: setup-monitoring ## The same as a file for node_exporter, for cron: FILE=/var/lib/prometheus/node-exporter/granary.prom
	@$(BIN)/python -m infra.monitoring textfile $(if $(FILE),"$(FILE)")

# Debian's exporter reads libpq's variables itself, where the address that it is given says nothing.
metrics-database: ## What Prometheus reads of the Postgres that PGHOST, PGUSER, … name, on http://127.0.0.1:9187/metrics (PORT=…)
	@command -v prometheus-postgres-exporter >/dev/null \
		|| { echo "FAILED: this machine lacks a package: apt-get install prometheus-postgres-exporter" >&2; exit 1; }
	@DATA_SOURCE_NAME="postgresql://?host=$${PGHOST:?names the server}&port=$${PGPORT:-5432}" exec prometheus-postgres-exporter \
		--web.listen-address=127.0.0.1:$(or $(PORT),9187) --extend.query-path=infra/monitoring/postgres-queries.yml

grafana: setup-dev ## Write Grafana's dashboards anew from the list in infra/monitoring/panels.py
	@$(BIN)/python -m infra.monitoring.dashboards

lint: setup-dev ## Every linter, as the pre-commit hooks run them
	@$(BIN)/pre-commit run --all-files

format: setup-dev ## Put Python and SQL into the house's form
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --fix --quiet .
	@mkdir -p target/lint && WAREHOUSE_DIR=target/lint DBT_TARGET_PATH=target/lint DBT_LOG_PATH=target/lint \
		$(BIN)/sqlfluff fix --quiet models tests

site: setup-site ## The site: tables, metrics, lineage, reports; one folder, open site/index.html
	@$(BIN)/python -m reports.site

docs: setup ## dbt's own docs as one static page
	@$(BIN)/python -m warehouse docs

freshness: setup ## How old each source's newest record is
	@$(BIN)/python -m warehouse freshness

bench: setup-dev ## Measure against the engines themselves; TARGET=prod: dashboards on Postgres at 6 and 60 million lines, and drills (see bench/README.md)
ifeq ($(TARGET),prod)
	@$(BIN)/python -m bench queries --engine postgres --scale 1 --write --section production-6M
	@$(BIN)/python -m bench drills --write --section production-cluster
	@$(BIN)/python -m bench queries --engine postgres --scale 10 --write --section production-60M
else
	@$(BIN)/python -m bench
endif

lock: setup-dev ## Resolve the requirements anew
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) --extra dev pyproject.toml -o requirements/dev.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) -c requirements/dev.txt --extra serve pyproject.toml -o requirements/serve.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) -c requirements/dev.txt --extra report pyproject.toml -o requirements/report.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) -c requirements/dev.txt --extra site pyproject.toml -o requirements/site.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) -c requirements/dev.txt --extra api pyproject.toml -o requirements/api.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) -c requirements/dev.txt --extra monitoring pyproject.toml -o requirements/monitoring.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) -c requirements/dev.txt --extra match pyproject.toml -o requirements/match.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) -c requirements/dev.txt --extra lake pyproject.toml -o requirements/lake.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) -c requirements/dev.txt pyproject.toml -o requirements/default.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) requirements/bi.in -o requirements/bi.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) requirements/mongodb.in -o requirements/mongodb.txt
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) requirements/objectstore.in -o requirements/objectstore.txt

clean: ## Take away what can be made again; raw and the published marts stay
	@rm -rf target logs site .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
