// One lookup of a headless service for each line of input, with Go's own resolver.
//
// lookup HOST:PORT SERVICE srv|host
//
// srv queries the SRV records, and the IPv4 address of each target; host queries the addresses of
// the service. Each lookup prints how many names and how many addresses it found.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const (
	atOnce  = 100
	timeout = 20 * time.Second
)

func main() {
	server, service := os.Args[1], os.Args[2]
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server)
		},
	}
	lookup := hosts
	if os.Args[3] == "srv" {
		lookup = services
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		names, addresses := lookup(ctx, resolver, service)
		cancel()
		fmt.Println(names, addresses)
	}
}

func services(ctx context.Context, resolver *net.Resolver, service string) (int, int) {
	_, records, err := resolver.LookupSRV(ctx, "", "", service)
	if err != nil {
		return 0, 0
	}
	names := map[string]bool{}
	for _, record := range records {
		names[record.Target] = true
	}
	found := make(chan bool, len(names))
	slots := make(chan bool, atOnce)
	var group sync.WaitGroup
	for name := range names {
		group.Add(1)
		go func(name string) {
			defer group.Done()
			slots <- true
			addresses, err := resolver.LookupNetIP(ctx, "ip4", name)
			if err == nil && len(addresses) > 0 {
				found <- true
			}
			<-slots
		}(name)
	}
	group.Wait()
	return len(names), len(found)
}

func hosts(ctx context.Context, resolver *net.Resolver, service string) (int, int) {
	addresses, err := resolver.LookupHost(ctx, service)
	if err != nil {
		return 0, 0
	}
	return 0, len(addresses)
}
