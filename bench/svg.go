package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"strings"
)

// A curve's picture is written by hand: two panels of lines over a logarithmic
// axis are a page of code, a plotting library is twenty modules.

// Sizes of a picture in pixels.
const (
	svgWidth, panelHeight, panelGap      = 720, 190, 62
	svgLeft, svgRight, svgTop, svgBottom = 78, 110, 52, 44
)

var svgColors = []string{"#2563eb", "#16a34a", "#dc2626"}

// line is a series of a panel; NaN leaves a point out.
type line struct {
	name string
	y    []float64
}

// panel is a diagram with a name for its upright axis, which begins at zero.
type panel struct {
	y     string
	lines []line
}

// picture is panels above one another over the same x.
type picture struct {
	title, x string
	at       []float64
	log      bool // of x; else it is time or another thing that is counted evenly
	panels   []panel
}

func (p picture) write(file string) error { return os.WriteFile(file, []byte(p.svg()), 0o600) }

func (p picture) svg() string {
	var b strings.Builder
	height := svgTop + len(p.panels)*(panelHeight+panelGap) - panelGap + svgBottom
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", svgWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", svgWidth, height)
	text(&b, svgLeft, 22, "start", "16", p.title)
	for i, one := range p.panels {
		p.panel(&b, one, float64(svgTop+i*(panelHeight+panelGap)), i == len(p.panels)-1)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p picture) panel(b *strings.Builder, one panel, top float64, last bool) {
	const width = svgWidth - svgLeft - svgRight
	step, most := ticks(one.lines)
	y := func(v float64) float64 { return top + panelHeight*(1-v/most) }
	x := p.across(width)
	text(b, svgLeft, top-8, "start", "12", one.y)
	for v := 0.0; v <= most*1.001; v += step {
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#e5e7eb"/>`+"\n", svgLeft, y(v), width)
		text(b, svgLeft-8, y(v)+4, "end", "12", short(v))
	}
	for _, v := range p.marks() {
		fmt.Fprintf(b, `<path d="M%.1f %.1fv%d" stroke="#e5e7eb"/>`+"\n", x(v), top, panelHeight)
		text(b, x(v), top+panelHeight+17, "middle", "12", short(v))
	}
	if last {
		text(b, svgLeft+width/2, top+panelHeight+36, "middle", "12", p.x)
	}
	for i, l := range one.lines {
		color := svgColors[i%len(svgColors)]
		var points []string
		for k, v := range l.y {
			if !math.IsNaN(v) {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(p.at[k]), y(v)))
			}
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), color)
		if len(points) <= 40 {
			for _, at := range points {
				cx, cy, _ := strings.Cut(at, ",")
				fmt.Fprintf(b, `<circle cx="%s" cy="%s" r="3.5" fill="%s"/>`+"\n", cx, cy, color)
			}
		}
		fmt.Fprintf(b, `<text x="%d" y="%.1f" fill="%s">%s</text>`+"\n", svgLeft+width+10, top+14+float64(i)*18, color, html.EscapeString(l.name))
	}
}

// across returns where a value of x stands; 0 is where 1 is on a logarithmic axis,
// at the left end.
func (p picture) across(width float64) func(float64) float64 {
	scale := func(v float64) float64 { return pick(p.log, math.Log10(max(v, p.zero())), v) }
	first, last := scale(p.at[0]), scale(p.at[len(p.at)-1])
	return func(v float64) float64 {
		return svgLeft + width*(scale(v)-first)/max(last-first, math.SmallestNonzeroFloat64)
	}
}

// zero is where a logarithmic axis that begins with 0 has it: a decade below the
// second point.
func (p picture) zero() float64 {
	if p.at[0] > 0 || len(p.at) < 2 {
		return math.SmallestNonzeroFloat64
	}
	return p.at[1] / 10
}

// marks are the values of x that are written below: the points, or six in even
// distances.
func (p picture) marks() []float64 {
	if p.log {
		return p.at
	}
	last, all := p.at[len(p.at)-1], make([]float64, 7)
	for i := range all {
		all[i] = last * float64(i) / 6
	}
	return all
}

// ticks returns the distance of lines across a panel, and where it ends.
func ticks(lines []line) (step, most float64) {
	for _, l := range lines {
		for _, v := range l.y {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	if most == 0 {
		return 1, 1
	}
	step = math.Pow(10, math.Floor(math.Log10(most)))
	switch {
	case most/step < 2:
		step /= 4
	case most/step < 5:
		step /= 2
	}
	return step, step * math.Ceil(most/step)
}

func text(b *strings.Builder, x, y float64, anchor, size, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%s" fill="#374151">%s</text>`+"\n", x, y, anchor, size, html.EscapeString(s))
}

// short writes a value for an axis: 0.25, 40, 1.5k, 2M.
func short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return fmt.Sprintf("%.4g%s", v/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.3g", v)
}
