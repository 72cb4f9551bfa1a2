package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Curve is a figure that changes with a number.
type Curve struct {
	Title  string
	Points []Point // the numbers grow
}

// Point is a figure at a number, which is 1 at least.
type Point struct {
	Number int
	Value  float64
}

const (
	curveHeight = 120
	curveWidth  = 380
	curveFoot   = 26
	inkLaw      = "#c3cad3"
)

// Curves draws panels of curves over one axis, which is logarithmic; their own are linear and from zero. The dashed
// line of each is the first figure grown with the number's logarithm.
func Curves(title, subtitle, axis string, all []Curve) string {
	var drawn strings.Builder
	const panelHeight = panelHead + curveHeight + curveFoot
	for i, c := range all {
		drawn.WriteString(c.draw(panelLeft+i%2*panelColumn, plotHead+i/2*(panelHeight+panelGap), axis))
	}
	height := plotHead + (len(all)+1)/2*(panelHeight+panelGap) - panelGap + plotFoot
	return card(height, title, subtitle, "Curves; the same figures stand in the table.", drawn.String())
}

func (c Curve) draw(x, y int, axis string) string {
	var b strings.Builder
	b.WriteString(label(x, y+12, 13, inkStrong, `font-weight="600"`, c.Title))
	y += panelHead
	first, last := c.Points[0], c.Points[len(c.Points)-1]
	law := func(n int) float64 { return first.Value * math.Log(float64(n)) / math.Log(float64(first.Number)) }
	most := law(last.Number)
	for _, p := range c.Points {
		most = max(most, p.Value)
	}
	span := math.Log(float64(last.Number) / float64(first.Number))
	place := func(n int, value float64) (px, py float64) {
		px, py = float64(x), float64(y+curveHeight)
		if span > 0 {
			px += math.Log(float64(n)/float64(first.Number)) / span * curveWidth
		}
		if most > 0 {
			py -= value / most * curveHeight
		}
		return px, py
	}
	fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s"/>`+"\n", x, y+curveHeight, x+curveWidth, y+curveHeight, cardStroke)
	x1, y1 := place(first.Number, first.Value)
	x2, y2 := place(last.Number, law(last.Number))
	fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="1.5" stroke-dasharray="4 4"/>`+"\n", x1, y1, x2, y2, inkLaw)
	var line []string
	for _, p := range c.Points {
		px, py := place(p.Number, p.Value)
		line = append(line, fmt.Sprintf("%.1f,%.1f", px, py))
	}
	fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(line, " "), barOurs)
	for i, p := range c.Points {
		px, py := place(p.Number, p.Value)
		anchor := `text-anchor="middle"`
		if i == 0 {
			anchor = ""
		}
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", px, py, barOurs)
		b.WriteString(label(int(px), int(py)-8, 12, inkStrong, anchor, Number(p.Value)))
		b.WriteString(label(int(px), y+curveHeight+16, 11, inkWeak, anchor, fmt.Sprintf("%d", p.Number)))
	}
	b.WriteString(label(x+curveWidth, y+curveHeight+curveFoot+4, 11, inkWeak, `text-anchor="end"`, axis))
	return b.String()
}

// card is what a plot lies on.
func card(height int, title, subtitle, description, drawn string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `+
		`font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" role="img" aria-labelledby="t d">`+"\n", plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, "<title id=\"t\">%s</title>\n", html.EscapeString(title))
	fmt.Fprintf(&b, "<desc id=\"d\">%s</desc>\n", html.EscapeString(description))
	fmt.Fprintf(&b, `<rect x="0.5" y="0.5" width="%d" height="%d" rx="14" fill="%s" stroke="%s"/>`+"\n", plotWidth-1, height-1, cardFill, cardStroke)
	b.WriteString(label(panelLeft, 34, 18, inkStrong, `font-weight="600"`, title))
	b.WriteString(label(panelLeft, 54, 12, inkWeak, "", subtitle))
	b.WriteString(drawn)
	b.WriteString("</svg>\n")
	return b.String()
}
