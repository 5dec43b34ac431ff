// product.go: the product service of the chain: HTTP in, SQL out, over database/sql and lib/pq as such services are written.
//
//	product LISTEN DSN RELEASE [key=value...]
//
// RELEASE becomes its application_name.  Keys: pool (connections it may open, default 20), report_from (a report is about the orders
// from there on, default 225000 of 240000), and the faults of a release:
//
//	n_plus_one   the list of orders asks for each order's product by itself
//	leak         an order for a product that is not there returns without ending its transaction
//
// After SIGUSR1 an order for a product that is not there keeps a connection that it borrowed, idle.
package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	_ "github.com/lib/pq"
)

type service struct {
	db             *sql.DB
	nPlusOne, leak bool
	keep           atomic.Bool
	kept           []*sql.Conn
	reportFrom     int
}

type order struct {
	ID      int64  `json:"id"`
	Product int    `json:"product"`
	Name    string `json:"name"`
	Total   int    `json:"total"`
}

var errNoProduct = errors.New("no such product")

func number(r *http.Request, key string) int {
	n, _ := strconv.Atoi(r.URL.Query().Get(key))
	return n
}

func answer(w http.ResponseWriter, value interface{}, err error) {
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	case errors.Is(err, sql.ErrNoRows) || errors.Is(err, errNoProduct):
		http.Error(w, err.Error(), http.StatusNotFound)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (s *service) product(w http.ResponseWriter, r *http.Request) {
	var name string
	var price int
	err := s.db.QueryRowContext(r.Context(), "SELECT name, price_cents FROM products WHERE product_id = $1", number(r, "id")).Scan(&name, &price)
	answer(w, map[string]interface{}{"name": name, "price": price}, err)
}

func (s *service) names(ctx context.Context, orders []order) error {
	for i := range orders {
		if err := s.db.QueryRowContext(ctx, "SELECT name FROM products WHERE product_id = $1", orders[i].Product).Scan(&orders[i].Name); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) orders(w http.ResponseWriter, r *http.Request) {
	list := []order{}
	rows, err := s.db.QueryContext(r.Context(), "SELECT o.order_id, o.product_id, p.name, o.total_cents FROM orders AS o JOIN products AS p USING (product_id) "+
		"WHERE o.customer_id = $1 ORDER BY o.order_id DESC LIMIT 25", number(r, "customer"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	for rows.Next() {
		var o order
		if err = rows.Scan(&o.ID, &o.Product, &o.Name, &o.Total); err != nil {
			break
		}
		list = append(list, o)
	}
	_ = rows.Close()
	if err == nil {
		err = rows.Err()
	}
	if err == nil && s.nPlusOne {
		err = s.names(r.Context(), list)
	}
	answer(w, list, err)
}

// quote is what the service itself has to do between two statements of an order: some tenths of a millisecond of CPU.
func quote(price int) int {
	sum := sha256.Sum256([]byte(strconv.Itoa(price)))
	for i := 0; i < 1000; i++ {
		sum = sha256.Sum256(sum[:])
	}
	return price + int(sum[0])%2
}

func (s *service) placeOrder(ctx context.Context, customer, product int) (id int64, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	var price, quantity int
	err = tx.QueryRowContext(ctx, "SELECT p.price_cents, i.quantity FROM inventory AS i JOIN products AS p USING (product_id) WHERE i.product_id = $1 FOR UPDATE OF i",
		product).Scan(&price, &quantity)
	if errors.Is(err, sql.ErrNoRows) {
		if s.leak {
			return 0, errNoProduct
		}
		err = errNoProduct
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, "UPDATE inventory SET quantity = quantity - 1 WHERE product_id = $1", product)
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, "INSERT INTO orders (customer_id, product_id, total_cents) VALUES ($1, $2, $3) RETURNING order_id",
			customer, product, quote(price)).Scan(&id)
	}
	if err != nil {
		_ = tx.Rollback()
		return 0, err
	}
	return id, tx.Commit()
}

func (s *service) keepConnection() {
	if conn, err := s.db.Conn(context.Background()); err == nil {
		_ = conn.PingContext(context.Background())
		s.kept = append(s.kept, conn)
	}
}

func (s *service) buy(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if s.leak {
		// database/sql ends a transaction whose context is cancelled; this release forgot to pass the request's on.
		ctx = context.Background()
	}
	id, err := s.placeOrder(ctx, number(r, "customer"), number(r, "id"))
	if s.keep.Load() && errors.Is(err, errNoProduct) {
		go s.keepConnection()
	}
	answer(w, map[string]int64{"order": id}, err)
}

func (s *service) report(w http.ResponseWriter, r *http.Request) {
	var categories, total int64
	err := s.db.QueryRowContext(r.Context(), "SELECT count(*), sum(total) FROM (SELECT p.category_id, sum(o.total_cents) AS total FROM orders AS o "+
		"JOIN products AS p USING (product_id) WHERE o.order_id > $1 AND o.order_id % 100 <> $2 GROUP BY p.category_id) AS s", s.reportFrom, number(r, "id")%100).Scan(&categories, &total)
	answer(w, map[string]int64{"categories": categories, "total": total}, err)
}

func main() {
	if len(os.Args) < 4 {
		log.Fatal("product LISTEN DSN RELEASE [key=value...]")
	}
	db, err := sql.Open("postgres", os.Args[2]+" application_name="+os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	s := &service{db: db, reportFrom: 225000}
	pool := 20
	for _, arg := range os.Args[4:] {
		pair := append(strings.SplitN(arg, "=", 2), "")
		switch pair[0] {
		case "pool":
			pool, _ = strconv.Atoi(pair[1])
		case "report_from":
			s.reportFrom, _ = strconv.Atoi(pair[1])
		case "n_plus_one":
			s.nPlusOne = true
		case "leak":
			s.leak = true
		default:
			log.Fatalf("unknown key %s", pair[0])
		}
	}
	db.SetMaxOpenConns(pool)
	db.SetMaxIdleConns(pool)
	db.SetConnMaxIdleTime(10 * time.Minute)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		<-signals
		s.keep.Store(true)
	}()
	http.HandleFunc("/product", s.product)
	http.HandleFunc("/orders", s.orders)
	http.HandleFunc("/buy", s.buy)
	http.HandleFunc("/report", s.report)
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
