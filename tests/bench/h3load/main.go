// h3load: bounded HTTP/3 load on loopback, on quic-go's client.
//
//	h3load -c CONNECTIONS -m STREAMS -n REQUESTS [-t LIMIT] [-H 'name: value']... [-b BYTES] URL
//
// prints one line of JSON. Status 1 when anything was not answered 200 over HTTP/3.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
)

const requestLimit = 20 * time.Second

type fields []string

func (f *fields) String() string { return strings.Join(*f, ", ") }

func (f *fields) Set(value string) error {
	if !strings.Contains(value, ":") {
		return fmt.Errorf("%q is no field", value)
	}
	*f = append(*f, value)
	return nil
}

// work is what every stream of every connection shares.
type work struct {
	url      string
	fields   fields
	upload   []byte
	left     atomic.Int64
	received atomic.Int64
	stop     time.Time
	lock     sync.Mutex
	took     []time.Duration
	answers  map[string]int
	faults   map[string]int
}

func main() {
	connections := flag.Int("c", 2, "connections")
	streams := flag.Int("m", 10, "streams in flight per connection")
	requests := flag.Int64("n", 1000, "requests in all")
	limit := flag.Duration("t", 30*time.Second, "time limit")
	upload := flag.Int("b", 0, "bytes of body to send with each request, by POST")
	w := &work{answers: map[string]int{}, faults: map[string]int{}}
	flag.Var(&w.fields, "H", "request field, may be repeated")
	flag.Parse()
	if flag.NArg() != 1 || !isLoopback(flag.Arg(0)) {
		fmt.Fprintln(os.Stderr, "usage: h3load [flags] URL, on loopback only")
		os.Exit(2)
	}
	w.url = flag.Arg(0)
	w.upload = bytes.Repeat([]byte("x"), *upload)
	w.left.Store(*requests)
	start := time.Now()
	w.stop = start.Add(*limit)
	w.run(*connections, *streams)
	if !w.report(time.Since(start)) {
		os.Exit(1)
	}
}

func isLoopback(target string) bool {
	parsed, err := url.Parse(target)
	if err != nil {
		return false
	}
	addresses, err := net.LookupIP(parsed.Hostname())
	return err == nil && len(addresses) > 0 && addresses[0].IsLoopback()
}

func (w *work) run(connections, streams int) {
	var all sync.WaitGroup
	for range connections {
		transport := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer transport.Close()
		client := &http.Client{Transport: transport, Timeout: requestLimit}
		for range streams {
			all.Go(func() {
				for w.left.Add(-1) >= 0 && time.Now().Before(w.stop) {
					w.ask(client)
				}
			})
		}
	}
	all.Wait()
}

func (w *work) ask(client *http.Client) {
	start := time.Now()
	answer, err := w.exchange(client)
	w.lock.Lock()
	defer w.lock.Unlock()
	if err != nil {
		w.faults[err.Error()]++
		return
	}
	w.took = append(w.took, time.Since(start))
	w.answers[answer]++
}

func (w *work) exchange(client *http.Client) (string, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if len(w.upload) > 0 {
		method, body = http.MethodPost, bytes.NewReader(w.upload)
	}
	request, err := http.NewRequest(method, w.url, body)
	if err != nil {
		return "", err
	}
	for _, field := range w.fields {
		name, value, _ := strings.Cut(field, ":")
		request.Header.Set(name, strings.TrimSpace(value))
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	size, err := io.Copy(io.Discard, response.Body)
	w.received.Add(size)
	return response.Proto + " " + response.Status, err
}

// report says whether all that was asked was answered 200 over HTTP/3.
func (w *work) report(took time.Duration) bool {
	slices.Sort(w.took)
	good := w.answers["HTTP/3.0 200 OK"]
	errors := -good + len(w.took)
	for _, count := range w.faults {
		errors += count
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"requests": good, "errors": errors, "bytes": w.received.Load(), "seconds": took.Seconds(),
		"p50_us": w.quantile(0.5), "p99_us": w.quantile(0.99), "answers": w.answers, "faults": w.faults,
	})
	return errors == 0 && good > 0
}

func (w *work) quantile(part float64) int64 {
	if len(w.took) == 0 {
		return 0
	}
	return w.took[int(part*float64(len(w.took)-1))].Microseconds()
}
