package main

import (
	"math"
	"net"
	"testing"
	"time"
)

func TestDrift(t *testing.T) {
	var samples []sample
	for i := range 16 {
		s := sample{memory: 50, keys: float64(i), submit99: math.NaN()}
		if i%4 == 3 {
			s.submit99 = 2
		}
		samples = append(samples, s)
	}
	samples[0].memory, samples[15].memory = 10, 500 // the warm-up, and one spike
	if got := drift(samples, func(s sample) float64 { return s.memory }); got != 1 {
		t.Errorf("memory that stays drifts by %v", got)
	}
	if got := drift(samples, func(s sample) float64 { return s.submit99 }); got != 1 {
		t.Errorf("latency with gaps drifts by %v", got)
	}
	// Quarters of 4…7 and 12…15.
	if got, want := drift(samples, func(s sample) float64 { return s.keys }), 13.5/5.5; got != want {
		t.Errorf("keys that grow drift by %v, want %v", got, want)
	}
	m := &mixed{}
	for length, met := range map[time.Duration]string{30 * time.Second: "–", time.Hour: "no"} {
		if rows := soakRows(samples, length, m); rows[3].Met != met {
			t.Errorf("after %s growing keys are judged %q, want %q", length, rows[3].Met, met)
		}
	}
}

func TestRedisSays(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buffer := make([]byte, 64)
		n, _ := c.Read(buffer)
		heard <- string(buffer[:n])
		_, _ = c.Write([]byte(":42\r\n"))
	}()
	if got, err := redisSays(l.Addr().String(), "DBSIZE"); err != nil || got != ":42" {
		t.Errorf("got %q, %v", got, err)
	}
	if got := <-heard; got != "DBSIZE\r\n" {
		t.Errorf("Redis heard %q", got)
	}
}
