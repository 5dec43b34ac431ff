// load.go: an open-loop HTTP load: requests are sent when their time has come, whether or not earlier ones were answered, and
// latency counts from that time.
//
//	load URL RATE SECONDS REPORTS
//
// Arrivals are Poisson.  The mix is a shop's: products, lists of orders, orders (one in twelve for a product that is not there), and as the
// share REPORTS says, reports.  Each second it prints one line: requests by status, p50 and p95 in ms.  What exceeds 500 requests
// in flight is not sent and counted as "dropped".
package main

import (
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

type second struct {
	sync.Mutex
	status map[string]int
	ms     []float64
}

func (s *second) note(status string, took time.Duration) {
	s.Lock()
	s.status[status]++
	if took > 0 {
		s.ms = append(s.ms, float64(took)/1e6)
	}
	s.Unlock()
}

func (s *second) print(at time.Duration) {
	s.Lock()
	status, ms := s.status, s.ms
	s.status, s.ms = map[string]int{}, nil
	s.Unlock()
	keys := make([]string, 0, len(status))
	for key := range status {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	fmt.Printf("t=%.0f", at.Seconds())
	for _, key := range keys {
		fmt.Printf(" %s=%d", key, status[key])
	}
	if sort.Float64s(ms); len(ms) > 0 {
		fmt.Printf(" p50=%.1f p95=%.1f", ms[len(ms)/2], ms[len(ms)*95/100])
	}
	fmt.Println()
}

const maxInFlight = 500

func path(r *rand.Rand, reports float64) string {
	id, customer := 1+r.Intn(20000), 1+r.Intn(4000)
	switch p := r.Float64() + reports; {
	case p > 1:
		return fmt.Sprintf("/report?id=%d", id)
	case p < 0.50:
		return fmt.Sprintf("/product?id=%d", id)
	case p < 0.75:
		return fmt.Sprintf("/orders?customer=%d", customer)
	default:
		if r.Intn(12) == 0 {
			id = 1000000
		}
		return fmt.Sprintf("/buy?id=%d&customer=%d", id, customer)
	}
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "load URL RATE SECONDS REPORTS")
		os.Exit(2)
	}
	rate, _ := strconv.ParseFloat(os.Args[2], 64)
	seconds, _ := strconv.ParseFloat(os.Args[3], 64)
	reports, _ := strconv.ParseFloat(os.Args[4], 64)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConns: maxInFlight, MaxIdleConnsPerHost: maxInFlight,
		DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext}}
	now := &second{status: map[string]int{}}
	slots := make(chan struct{}, maxInFlight)
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	start := time.Now()
	go func() {
		for range time.Tick(time.Second) {
			now.print(time.Since(start))
		}
	}()
	for next := start; next.Sub(start).Seconds() < seconds; next = next.Add(time.Duration(random.ExpFloat64() / rate * 1e9)) {
		time.Sleep(time.Until(next))
		select {
		case slots <- struct{}{}:
		default:
			now.note("dropped", 0)
			continue
		}
		go func(url string, due time.Time) {
			defer func() { <-slots }()
			answer, err := client.Get(url)
			if err != nil {
				now.note("failed", 0)
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			now.note(strconv.Itoa(answer.StatusCode), time.Since(due))
		}(os.Args[1]+path(random, reports), next)
	}
}
