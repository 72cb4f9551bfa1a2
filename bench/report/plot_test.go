package report

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func plotted(t *testing.T) string {
	t.Helper()
	d := data()
	d.Machines[0].CPU = "A <fast> & good one"
	svg, err := SVG(d, "nic", style())
	if err != nil {
		t.Fatal(err)
	}
	return svg
}

func TestThePlotIsWellFormed(t *testing.T) {
	for decoder := xml.NewDecoder(strings.NewReader(plotted(t))); ; {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBarsAreAsLongAsTheirFiguresAndTheBestIsOnTop(t *testing.T) {
	svg := plotted(t)
	bars := regexp.MustCompile(`<text [^>]*>([a-z-]+)</text>\n<rect x="\d+" y="\d+" width="(\d+)"[^>]*fill="(#\w+)"/>\n<text [^>]*>([^<]+)</text>`).FindAllStringSubmatch(svg, -1)
	var got []string
	for _, b := range bars {
		got = append(got, strings.Join(b[1:], " "))
	}
	// 2,000 of 5,000 are 40 %, 60 of 300 are 20 %.
	at := func(share float64) string { return strconv.Itoa(int(share * barWidth)) }
	want := []string{
		"landbridge " + at(1) + " " + barOurs + " 5,000", "wireguard-go " + at(0.4) + " " + barTheirs + " 2,000",
		"landbridge " + at(0.2) + " " + barOurs + " 60.0", "wireguard-go " + at(1) + " " + barTheirs + " 300",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("bars:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(svg, "without encryption: veth 20,000") {
		t.Error("what carries packets as they are isn't told")
	}
}

func TestNothingMeasuredIsNothingToDraw(t *testing.T) {
	if svg, err := SVG(data(), "veth", style()); err == nil {
		t.Errorf("it draws %s", svg)
	}
}
