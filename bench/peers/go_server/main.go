// GO SERVER: a tunnel server on golang.org/x/crypto/ssh as one writes it first: io.Copy both ways, a goroutine each.
// Usage: go_server PORT HOST_KEY_FILE AUTHORIZED_KEYS_FILE. Says READY when it listens.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"golang.org/x/crypto/ssh"
)

// The payloads of RFC 4254 §7.1 and §7.2. A forwarded-tcpip has the shape of a direct-tcpip.
type bind struct {
	Host string
	Port uint32
}
type stream struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}
type halfCloser interface {
	io.ReadWriteCloser
	CloseWrite() error
}

func main() {
	hostKey, err := ssh.ParsePrivateKey(read(os.Args[2]))
	must(err)
	allowed, _, _, _, err := ssh.ParseAuthorizedKey(read(os.Args[3]))
	must(err)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("not that key")
		}
		return nil, nil
	}}
	config.AddHostKey(hostKey)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	must(err)
	fmt.Println("READY")
	for {
		tcp, err := listener.Accept()
		must(err)
		go serve(tcp, config)
	}
}

func serve(tcp net.Conn, config *ssh.ServerConfig) {
	defer tcp.Close()
	conn, opens, requests, err := ssh.NewServerConn(tcp, config)
	if err != nil {
		return
	}
	go answer(conn, requests)
	for open := range opens {
		go direct(open)
	}
}

func direct(open ssh.NewChannel) {
	var to stream
	if open.ChannelType() != "direct-tcpip" || ssh.Unmarshal(open.ExtraData(), &to) != nil {
		open.Reject(ssh.UnknownChannelType, "tunnels only")
		return
	}
	target, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		open.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := open.Accept()
	if err != nil {
		target.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	join(channel, target.(*net.TCPConn))
}

// answer owns the listeners of one connection until that ends.
func answer(conn *ssh.ServerConn, requests <-chan *ssh.Request) {
	listeners := map[bind]net.Listener{}
	for request := range requests {
		var at bind
		switch parsed := ssh.Unmarshal(request.Payload, &at) == nil; {
		case request.Type == "tcpip-forward" && parsed:
			listener, err := net.Listen("tcp", net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))))
			if err != nil {
				request.Reply(false, nil)
				continue
			}
			at.Port = uint32(listener.Addr().(*net.TCPAddr).Port)
			listeners[at] = listener
			request.Reply(true, ssh.Marshal(struct{ Port uint32 }{at.Port}))
			go accept(conn, listener, at)
		case request.Type == "cancel-tcpip-forward" && parsed && listeners[at] != nil:
			listeners[at].Close()
			delete(listeners, at)
			request.Reply(true, nil)
		default:
			request.Reply(false, nil)
		}
	}
	for _, listener := range listeners {
		listener.Close()
	}
}

func accept(conn *ssh.ServerConn, listener net.Listener, at bind) {
	for {
		tcp, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			from := tcp.RemoteAddr().(*net.TCPAddr)
			payload := ssh.Marshal(stream{at.Host, at.Port, from.IP.String(), uint32(from.Port)})
			channel, requests, err := conn.OpenChannel("forwarded-tcpip", payload)
			if err != nil {
				tcp.Close()
				return
			}
			go ssh.DiscardRequests(requests)
			join(channel, tcp.(*net.TCPConn))
		}()
	}
}

func join(a, b halfCloser) {
	done := make(chan struct{})
	go func() {
		io.Copy(a, b)
		a.CloseWrite()
		close(done)
	}()
	io.Copy(b, a)
	b.CloseWrite()
	<-done
	a.Close()
	b.Close()
}

func read(file string) []byte {
	bytes, err := os.ReadFile(file)
	must(err)
	return bytes
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
