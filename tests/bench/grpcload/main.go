// grpcload: bounded load of unary gRPC calls on loopback, on grpc-go.
//
//	grpcload -c CONNECTIONS -m CALLS [-t LIMIT] [-b BYTES] [-plain] HOST:PORT
//	grpcload -serve PORT
//
// The first prints one line of JSON; status 1 when a call ended with another status than OK or with
// another body than was asked for. The second is the service that is called, without TLS.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	service "google.golang.org/grpc/interop/grpc_testing"
)

const callLimit = 20 * time.Second

// work is what every call of every connection shares.
type work struct {
	request *service.SimpleRequest
	stop    time.Time
	lock    sync.Mutex
	took    []time.Duration
	faults  map[string]int
}

func main() {
	connections := flag.Int("c", 2, "connections")
	calls := flag.Int("m", 10, "calls in flight per connection")
	limit := flag.Duration("t", 5*time.Second, "how long")
	size := flag.Int("b", 64, "bytes of payload both ways")
	plain := flag.Bool("plain", false, "HTTP/2 without TLS")
	serving := flag.Int("serve", 0, "serve on this port instead")
	flag.Parse()
	if *serving != 0 {
		serve(*serving)
		return
	}
	if flag.NArg() != 1 || !isLoopback(flag.Arg(0)) {
		fmt.Fprintln(os.Stderr, "usage: grpcload [flags] HOST:PORT, on loopback only")
		os.Exit(2)
	}
	body := &service.Payload{Body: make([]byte, *size)}
	w := &work{request: &service.SimpleRequest{ResponseSize: int32(*size), Payload: body}, faults: map[string]int{}}
	start := time.Now()
	w.stop = start.Add(*limit)
	w.run(flag.Arg(0), *plain, *connections, *calls)
	if !w.report(time.Since(start)) {
		os.Exit(1)
	}
}

func serve(port int) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := grpc.NewServer(grpc.MaxConcurrentStreams(1000))
	service.RegisterTestServiceServer(server, interop.NewTestServer())
	server.Serve(listener)
}

func isLoopback(target string) bool {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return false
	}
	addresses, err := net.LookupIP(host)
	return err == nil && len(addresses) > 0 && addresses[0].IsLoopback()
}

func (w *work) run(target string, plain bool, connections, calls int) {
	secure := credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if plain {
		secure = insecure.NewCredentials()
	}
	var all sync.WaitGroup
	for range connections {
		channel, err := grpc.NewClient(target, grpc.WithTransportCredentials(secure))
		if err != nil {
			w.faults[err.Error()]++
			continue
		}
		defer channel.Close()
		client := service.NewTestServiceClient(channel)
		for range calls {
			all.Go(func() {
				for time.Now().Before(w.stop) {
					w.call(client)
				}
			})
		}
	}
	all.Wait()
}

func (w *work) call(client service.TestServiceClient) {
	start := time.Now()
	within, cancel := context.WithTimeout(context.Background(), callLimit)
	answer, err := client.UnaryCall(within, w.request)
	cancel()
	if err == nil && len(answer.GetPayload().GetBody()) != int(w.request.ResponseSize) {
		err = fmt.Errorf("%d bytes of body", len(answer.GetPayload().GetBody()))
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	if err != nil {
		w.faults[err.Error()]++
		return
	}
	w.took = append(w.took, time.Since(start))
}

// report says whether all calls were answered as they should be.
func (w *work) report(took time.Duration) bool {
	slices.Sort(w.took)
	errors := 0
	for _, count := range w.faults {
		errors += count
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"requests": len(w.took), "errors": errors, "seconds": took.Seconds(),
		"p50_us": w.quantile(0.5), "p99_us": w.quantile(0.99), "faults": w.faults,
	})
	return errors == 0 && len(w.took) > 0
}

func (w *work) quantile(part float64) int64 {
	if len(w.took) == 0 {
		return 0
	}
	return w.took[int(part*float64(len(w.took)-1))].Microseconds()
}
