# psycopg 3: server-side parameters; a statement is prepared by name when it was run five times.
import datetime
import decimal
import threading
import time
import psycopg

print("driver psycopg", psycopg.__version__)


def case(name, body):
    try:
        body()
        print("ok", name)
    except Exception as error:
        print("not ok %s: %s" % (name, repr(error).replace("\n", " ")))


def same(got, wanted):
    if got != wanted:
        raise Exception("got %r, expected %r" % (got, wanted))


conns = [psycopg.connect("", autocommit=True) for _ in range(4)]
first = conns[0]


def one(sql, args=None, conn=None):
    return (conn or first).execute(sql, args).fetchone()[0]


def connect():
    same(one("select 1"), 1)


def types():
    when = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc)
    first.execute("insert into goods values (%s, %s, %s, %s, %s, %s)", (1, "caf\u00e9 'quoted'", decimal.Decimal("12.50"), when, ["a", None, "b,c"], '{"k": [1, 2]}'))
    for binary in (False, True):
        row = first.execute("select id, name, price, made, tags, extra from goods where id = %s", (1,), binary=binary).fetchone()
        same(row, (1, "caf\u00e9 'quoted'", decimal.Decimal("12.50"), when, ["a", None, "b,c"], {"k": [1, 2]}))


def transactions():
    try:
        with conns[1].transaction():
            conns[1].execute("insert into goods(id) values (2)")
            same(one("select count(*) from goods where id = 2"), 0)
            raise ZeroDivisionError()
    except ZeroDivisionError:
        pass
    with conns[1].transaction():
        conns[1].execute("insert into goods(id) values (3)")
    same(one("select count(*) from goods where id in (2, 3)"), 1)


def prepared():
    pids = set()
    for i in range(60):
        held = conns[1 + i % 3] if i % 2 else None
        if held:
            held.execute("begin")
        value, pid = first.execute("select %s::int + 1, pg_backend_pid()", (i,), prepare=True).fetchone()
        same(value, i + 1)
        pids.add(pid)
        if held:
            held.execute("commit")
    if len(pids) < 2:
        raise Exception("only one server was used")
    with first.pipeline():
        cursors = [first.execute("select %s::int * 2", (i,)) for i in range(50)]
    same([c.fetchone()[0] for c in cursors], [2 * i for i in range(50)])


def copy():
    with first.cursor().copy("copy goods(id, name) from stdin") as out:
        for i in range(1000, 3000):
            out.write_row((i, "n%d" % i))
    with first.cursor().copy("copy (select id from goods where id >= 1000 order by id) to stdout") as back:
        same(len(list(back.rows())), 2000)


def cancel():
    def when_it_runs():
        while one("select count(*) from pg_stat_activity where query = 'select pg_sleep(3000)' and state = 'active'") != 1:
            time.sleep(0.05)
        conns[2].cancel()

    canceller = threading.Thread(target=when_it_runs)
    canceller.start()
    try:
        conns[2].execute("select pg_sleep(3000)")
        raise Exception("it was not cancelled")
    except psycopg.errors.QueryCanceled:
        pass
    canceller.join()
    same(one("select 2", conn=conns[2]), 2)


def errors():
    for sql, code in (("selec", "42601"), ("select 1 / 0", "22012"), ("insert into goods(id) values (1)", "23505")):
        try:
            first.execute(sql)
            raise Exception("no error")
        except psycopg.Error as error:
            same(error.sqlstate, code)
    same(one("select 3"), 3)


def ddl():
    for i in range(4):
        for _ in range(7):
            same(first.execute("select * from goods where id = %s", (1,)).fetchone()[0], 1)
        conns[1].execute("alter table goods add x%d int" % i)


case("connect", connect)
case("types", types)
case("transactions", transactions)
case("prepared across servers", prepared)
case("copy", copy)
case("cancel", cancel)
case("errors", errors)
case("ddl", ddl)
for c in conns:
    c.close()
