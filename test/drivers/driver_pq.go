// lib/pq through database/sql: db.Prepare makes named statements.  A query with arguments is by default an unnamed statement that is prepared in one
// group and bound in the next; with binary_parameters (the second argument) it is one group.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/lib/pq"
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

type conn struct{ *sql.Conn }

func (c conn) one(query string, args ...interface{}) int {
	var n int
	must(c.QueryRowContext(ctx, query, args...).Scan(&n))
	return n
}

func (c conn) exec(query string, args ...interface{}) {
	_, err := c.ExecContext(ctx, query, args...)
	must(err)
}

func code(err error) string {
	if e, ok := err.(*pq.Error); ok {
		return string(e.Code)
	}
	return fmt.Sprint(err)
}

func types(db conn) {
	made := time.Date(2024, 2, 29, 12, 30, 0, 0, time.UTC)
	tags := []sql.NullString{{String: "a", Valid: true}, {}, {String: "b,c", Valid: true}}
	var id int
	var name, price string
	var back time.Time
	var list []sql.NullString
	var extra []byte
	var object map[string][]int

	db.exec("insert into goods values ($1, $2, $3, $4, $5, $6)", 1, "café 'quoted'", "12.50", made, pq.Array(tags), `{"k": [1, 2]}`)
	must(db.QueryRowContext(ctx, "select id, name, price, made, tags, extra from goods where id = $1", 1).Scan(&id, &name, &price, &back, pq.Array(&list), &extra))
	must(json.Unmarshal(extra, &object))
	same([]interface{}{id, name, price, back.UTC(), list, object}, []interface{}{1, "café 'quoted'", "12.50", made, tags, map[string][]int{"k": {1, 2}}})
}

func transactions(db, other conn) {
	tx, err := other.BeginTx(ctx, nil)
	must(err)
	_, err = tx.Exec("insert into goods(id) values (2)")
	must(err)
	same(db.one("select count(*) from goods where id = 2"), 0)
	must(tx.Rollback())
	tx, err = other.BeginTx(ctx, nil)
	must(err)
	_, err = tx.Exec("insert into goods(id) values ($1)", 3)
	must(err)
	must(tx.Commit())
	same(db.one("select count(*) from goods where id in (2, 3)"), 1)
}

func prepared(db conn, others []conn) {
	pids := map[int]bool{}
	statement, err := db.PrepareContext(ctx, "select $1::int + 1, pg_backend_pid()")
	must(err)
	for i := 0; i < 60; i++ {
		var value, pid int
		if i%2 == 1 {
			others[i%3].exec("begin")
		}
		must(statement.QueryRow(i).Scan(&value, &pid))
		same(value, i+1)
		pids[pid] = true
		same(db.one("select $1::int * 2", i), 2*i)
		if i%2 == 1 {
			others[i%3].exec("commit")
		}
	}
	must(statement.Close())
	if len(pids) < 2 {
		panic("only one server was used")
	}
}

func copyRows(db conn) {
	tx, err := db.BeginTx(ctx, nil)
	must(err)
	in, err := tx.Prepare(pq.CopyIn("goods", "id", "name"))
	must(err)
	for i := 1000; i < 3000; i++ {
		_, err = in.Exec(i, fmt.Sprintf("n%d", i))
		must(err)
	}
	_, err = in.Exec()
	must(err)
	must(in.Close())
	must(tx.Commit())
	same(db.one("select count(*) from goods where id >= 1000"), 2000) // it has no COPY TO
}

func cancel(db, other conn) {
	limited, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for other.one("select count(*) from pg_stat_activity where query = 'select pg_sleep(3000)' and state = 'active'") != 1 {
			time.Sleep(50 * time.Millisecond)
		}
		stop()
	}()
	_, err := db.ExecContext(limited, "select pg_sleep(3000)")
	if err == nil || (code(err) != "57014" && err != context.Canceled) {
		panic(fmt.Sprint("it was not cancelled: ", err))
	}
}

func errorsRecover(db conn) {
	for _, c := range [][2]string{{"selec", "42601"}, {"select 1 / 0", "22012"}, {"insert into goods(id) values (1)", "23505"}} {
		_, err := db.ExecContext(ctx, c[0])
		same(code(err), c[1])
	}
	_, err := db.ExecContext(ctx, "select 1 / $1::int", 0)
	same(code(err), "22012")
	same(db.one("select 3"), 3)
}

// The driver learns a statement's columns when it prepares it and never again, so a change of them is an error, as without a pooler.
func ddl(db, other conn, all []conn) {
	// A server that comes back from its cancel only now would be one that does not know the statement, and gives no error.
	for _, c := range all {
		c.exec("begin")
	}
	for _, c := range all {
		c.exec("commit")
	}
	statement, err := db.PrepareContext(ctx, "select * from goods where id = $1")
	must(err)
	narrow, err := db.PrepareContext(ctx, "select id from goods where id = $1")
	must(err)
	for i := 0; i < 4; i++ {
		var id int
		for k := 0; k < 7; k++ {
			rows, err := statement.Query(1)
			if err != nil {
				panic(fmt.Sprint("prepared, round ", i, " time ", k, ": ", err))
			}
			if !rows.Next() {
				panic(fmt.Sprint("no row: ", rows.Err()))
			}
			must(rows.Close())
			rows, err = db.QueryContext(ctx, "select * from goods where id = $1", 1)
			if err != nil {
				panic(fmt.Sprint("unnamed, round ", i, " time ", k, ": ", err))
			}
			must(rows.Close())
			must(narrow.QueryRow(1).Scan(&id))
			same(id, 1)
		}
		other.exec(fmt.Sprintf("alter table goods add x%d int", i))
		_, err = statement.Query(1)
		same(code(err), "0A000")
		must(statement.Close())
		statement, err = db.PrepareContext(ctx, "select * from goods where id = $1")
		must(err)
	}
}

func main() {
	options := ""
	if len(os.Args) > 2 {
		options = os.Args[2]
	}
	pool, err := sql.Open("postgres", options)
	must(err)
	var conns []conn
	for i := 0; i < 5; i++ {
		c, err := pool.Conn(ctx)
		must(err)
		conns = append(conns, conn{c})
	}
	db, others := conns[0], conns[1:4]
	if len(os.Args) > 1 {
		io.WriteString(os.Stdout, "driver lib/pq "+os.Args[1]+"\n")
	}
	check("connect", func() { same(db.one("select 1"), 1) })
	check("types", func() { types(db) })
	check("transactions", func() { transactions(db, others[0]) })
	check("prepared across servers", func() { prepared(db, others) })
	check("copy", func() { copyRows(db) })
	check("cancel", func() { cancel(conns[4], db); same(db.one("select 2"), 2) })
	check("errors", func() { errorsRecover(db) })
	check("ddl", func() { ddl(db, others[0], others) })
	for _, c := range conns {
		c.Close()
	}
	pool.Close()
}
