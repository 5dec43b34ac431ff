# psycopg2: simple protocol, client-side parameters; PREPARE in SQL does not cross servers, so the loop uses plain execute.
import datetime
import decimal
import io
import threading
import time
import psycopg2

print("driver psycopg2", psycopg2.__version__)


def case(name, body):
    try:
        body()
        print("ok", name)
    except Exception as error:
        print("not ok %s: %s" % (name, repr(error).replace("\n", " ")))


def same(got, wanted):
    if got != wanted:
        raise Exception("got %r, expected %r" % (got, wanted))


conns = [psycopg2.connect("") for _ in range(4)]
for c in conns:
    c.autocommit = True
cur = conns[0].cursor()


def one(sql, args=None, cursor=None):
    cursor = cursor or cur
    cursor.execute(sql, args)
    return cursor.fetchone()[0]


def connect():
    same(one("select 1"), 1)


def types():
    when = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc)
    cur.execute("insert into goods values (%s, %s, %s, %s, %s, %s)", (1, "caf\u00e9 'quoted'", decimal.Decimal("12.50"), when, ["a", None, "b,c"], '{"k": [1, 2]}'))
    cur.execute("select id, name, price, made, tags, extra from goods where id = %s", (1,))
    same(cur.fetchone(), (1, "caf\u00e9 'quoted'", decimal.Decimal("12.50"), when, ["a", None, "b,c"], {"k": [1, 2]}))


def transactions():
    other = conns[1]
    other.autocommit = False
    try:
        o = other.cursor()
        o.execute("insert into goods(id) values (2)")
        same(one("select count(*) from goods where id = 2"), 0)
        other.rollback()
        o.execute("insert into goods(id) values (3)")
        other.commit()
        same(one("select count(*) from goods where id in (2, 3)"), 1)
    finally:
        other.rollback()
        other.autocommit = True


def prepared():
    pids = set()
    for i in range(60):
        held = conns[1 + i % 3].cursor() if i % 2 else None
        if held:
            held.execute("begin")
        cur.execute("select %s::int + 1, pg_backend_pid()", (i,))
        value, pid = cur.fetchone()
        same(value, i + 1)
        pids.add(pid)
        if held:
            held.execute("commit")
    if len(pids) < 2:
        raise Exception("only one server was used")


def copy():
    cur.copy_expert("copy goods(id, name) from stdin", io.StringIO("".join("%d\tn%d\n" % (i, i) for i in range(1000, 3000))))
    out = io.StringIO()
    cur.copy_expert("copy (select id from goods where id >= 1000 order by id) to stdout", out)
    same(len(out.getvalue().split()), 2000)


def cancel():
    def when_it_runs():
        while one("select count(*) from pg_stat_activity where query = 'select pg_sleep(3000)' and state = 'active'") != 1:
            time.sleep(0.05)
        conns[2].cancel()

    canceller = threading.Thread(target=when_it_runs)
    canceller.start()
    try:
        conns[2].cursor().execute("select pg_sleep(3000)")
        raise Exception("it was not cancelled")
    except psycopg2.errors.QueryCanceled:
        pass
    canceller.join()
    same(one("select 2", cursor=conns[2].cursor()), 2)


def errors():
    for sql, code in (("selec", "42601"), ("select 1 / 0", "22012"), ("insert into goods(id) values (1)", "23505")):
        try:
            cur.execute(sql)
            raise Exception("no error")
        except psycopg2.Error as error:
            same(error.pgcode, code)
    same(one("select 3"), 3)


def ddl():
    for i in range(4):
        cur.execute("select * from goods where id = %s", (1,))
        same(cur.fetchone()[0], 1)
        conns[1].cursor().execute("alter table goods add x%d int" % i)


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
