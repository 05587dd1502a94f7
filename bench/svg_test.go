package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestPicture(t *testing.T) {
	p := picture{title: "A < B", x: "watchers", at: []float64{0, 10, 1000}, log: true, panels: []panel{
		{"done a second", []line{{"", []float64{1800, 1700, 900}}}},
		{"ms", []line{{"p50", []float64{1, 2, 3}}, {"p99", []float64{4, math.NaN(), 9}}}},
	}}
	svg := p.svg()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
	// The axis ends at 2,000: 1,800 is a tenth below the top, at the left end.
	for _, want := range []string{"A &lt; B", `points="78.0,71.0 `, ">1k<", ">p99<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture lacks %q:\n%s", want, svg)
		}
	}
	if n := strings.Count(svg, "<polyline"); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
}

func TestTicks(t *testing.T) {
	for most, want := range map[float64][2]float64{
		0: {1, 1}, 1800: {250, 2000}, 4.2: {0.5, 4.5}, 9: {1, 9}, 100: {25, 100},
	} {
		if step, end := ticks([]line{{"", []float64{most / 2, most, math.NaN()}}}); step != want[0] || end != want[1] {
			t.Errorf("up to %v: steps of %v to %v, want %v", most, step, end, want)
		}
	}
}
