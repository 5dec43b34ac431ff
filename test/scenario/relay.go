// relay.go: what stands between a sidecar and its server where a machine can be switched off: passes TCP connections on.  Ended, it
// takes them all with it and its port refuses.
//
//	relay LISTEN TARGET
package main

import (
	"io"
	"log"
	"net"
	"os"
)

func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("relay LISTEN TARGET")
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		server, err := net.Dial("tcp", os.Args[2])
		if err != nil {
			_ = client.Close()
			continue
		}
		go pass(server, client)
		go pass(client, server)
	}
}
