// pgx v4: every statement is prepared under a name and kept in the connection's cache, which is its default.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

func same(got, wanted interface{}) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("got %#v, expected %#v", got, wanted))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(name string, body func()) {
	defer func() {
		if err := recover(); err != nil {
			fmt.Printf("not ok %s: %s\n", name, strings.ReplaceAll(fmt.Sprint(err), "\n", " "))
			return
		}
		fmt.Println("ok " + name)
	}()
	body()
}

var ctx = context.Background()

func connect() *pgx.Conn {
	c, err := pgx.Connect(ctx, "")
	must(err)
	return c
}

func one(c *pgx.Conn, query string, args ...interface{}) int {
	var n int
	must(c.QueryRow(ctx, query, args...).Scan(&n))
	return n
}

func run(c *pgx.Conn, query string, args ...interface{}) {
	_, err := c.Exec(ctx, query, args...)
	must(err)
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func types(db *pgx.Conn) {
	made := time.Date(2024, 2, 29, 12, 30, 0, 0, time.UTC)
	a, bc := "a", "b,c"
	tags := []*string{&a, nil, &bc}
	var id int
	var name, price string
	var back time.Time
	var list []*string
	var extra map[string][]int

	run(db, "insert into goods values ($1, $2, $3::text::numeric, $4, $5, $6)", 1, "café 'quoted'", "12.50", made, tags, map[string][]int{"k": {1, 2}})
	must(db.QueryRow(ctx, "select id, name, price::text, made, tags, extra from goods where id = $1", 1).Scan(&id, &name, &price, &back, &list, &extra))
	same([]interface{}{id, name, price, back.UTC(), list, extra}, []interface{}{1, "café 'quoted'", "12.50", made, tags, map[string][]int{"k": {1, 2}}})
}

func transactions(db, other *pgx.Conn) {
	tx, err := other.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "insert into goods(id) values (2)")
	must(err)
	same(one(db, "select count(*) from goods where id = 2"), 0)
	must(tx.Rollback(ctx))
	must(other.BeginFunc(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "insert into goods(id) values ($1)", 3)
		return err
	}))
	same(one(db, "select count(*) from goods where id in (2, 3)"), 1)
}

func prepared(db *pgx.Conn, others []*pgx.Conn) {
	pids := map[int]bool{}
	for i := 0; i < 60; i++ {
		var value, pid int
		if i%2 == 1 {
			run(others[i%3], "begin")
		}
		must(db.QueryRow(ctx, "select $1::int + 1, pg_backend_pid()", i).Scan(&value, &pid))
		same(value, i+1)
		pids[pid] = true
		if i%2 == 1 {
			run(others[i%3], "commit")
		}
	}
	if len(pids) < 2 {
		panic("only one server was used")
	}
	batch := &pgx.Batch{} // a pipeline
	for i := 0; i < 50; i++ {
		batch.Queue("select $1::int * 2", i)
	}
	results := db.SendBatch(ctx, batch)
	for i := 0; i < 50; i++ {
		var n int
		must(results.QueryRow().Scan(&n))
		same(n, 2*i)
	}
	must(results.Close())
	for i := 0; i < 600; i++ { // more statements than its cache and max_prepared_statements hold
		same(one(db, fmt.Sprintf("select %d + $1::int", i), 1), i+1)
	}
}

func copyRows(db *pgx.Conn) {
	var rows [][]interface{}
	for i := 1000; i < 3000; i++ {
		rows = append(rows, []interface{}{i, fmt.Sprintf("n%d", i)})
	}
	n, err := db.CopyFrom(ctx, pgx.Identifier{"goods"}, []string{"id", "name"}, pgx.CopyFromRows(rows))
	must(err)
	same(n, int64(2000))
	var out bytes.Buffer
	_, err = db.PgConn().CopyTo(ctx, &out, "copy (select id from goods where id >= 1000 order by id) to stdout")
	must(err)
	same(len(strings.Fields(out.String())), 2000)
}

// pgx closes the connection when a context ends; a cancel request is for whoever wants to keep it.
func cancel(db, other *pgx.Conn) {
	sent := make(chan bool)
	go func() {
		for one(other, "select count(*) from pg_stat_activity where query = 'select pg_sleep(3000)' and state = 'active'") != 1 {
			time.Sleep(50 * time.Millisecond)
		}
		db.PgConn().CancelRequest(ctx)
		sent <- true
	}()
	_, err := db.Exec(ctx, "select pg_sleep(3000)")
	same(code(err), "57014")
	<-sent
	same(one(db, "select 2"), 2)
}

func errorsRecover(db *pgx.Conn) {
	for _, c := range [][2]string{{"selec", "42601"}, {"select 1 / 0", "22012"}, {"insert into goods(id) values (1)", "23505"}} {
		_, err := db.Exec(ctx, c[0])
		same(code(err), c[1])
	}
	_, err := db.Exec(ctx, "select 1 / $1::int", 0)
	same(code(err), "22012")
	same(one(db, "select 3"), 3)
}

// What the driver itself keeps of a statement (its columns) goes with the change of a table, so it is told to ask anew: a new text each time.
func ddl(db, other *pgx.Conn) {
	for i := 0; i < 4; i++ {
		for k := 0; k < 7; k++ {
			same(one(db, "select id from goods where id = $1", 1), 1)
			rows, err := db.Query(ctx, fmt.Sprintf("select * from goods where id = $1 /* %d */", i), 1)
			must(err)
			if !rows.Next() {
				panic(fmt.Sprint("no row: ", rows.Err()))
			}
			rows.Close()
		}
		run(other, fmt.Sprintf("alter table goods add x%d int", i))
	}
}

func main() {
	var conns []*pgx.Conn
	for i := 0; i < 4; i++ {
		conns = append(conns, connect())
	}
	db, others := conns[0], conns[1:]
	if len(os.Args) > 1 {
		fmt.Println("driver pgx " + os.Args[1])
	}
	check("connect", func() { same(one(db, "select 1"), 1) })
	check("types", func() { types(db) })
	check("transactions", func() { transactions(db, others[0]) })
	check("prepared across servers", func() { prepared(db, others) })
	check("copy", func() { copyRows(db) })
	check("cancel", func() { cancel(others[1], db) })
	check("errors", func() { errorsRecover(db) })
	check("ddl", func() { ddl(db, others[0]) })
	for _, c := range conns {
		c.Close(ctx)
	}
}
