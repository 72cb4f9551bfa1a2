package metrics

import (
	"bytes"
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"landbridge/console/api"
)

// Source is what the metrics are made of.
type Source interface {
	Status(ctx context.Context) (api.Status, error)
	Peers(ctx context.Context) ([]api.Peer, error)
	Blocks(ctx context.Context) ([]api.Block, error)
	Counters(ctx context.Context) ([]api.Counter, error)
}

// maxMembers bounds the members that have series of their own.
const maxMembers = 500

// Reporter writes metrics. Safe for concurrent use.
type Reporter struct {
	source Source
}

// New returns a Reporter of a source.
func New(s Source) *Reporter { return &Reporter{source: s} }

// Text returns all metrics in Prometheus' text format, version 0.0.4.
func (r *Reporter) Text(ctx context.Context) (string, error) {
	v, err := r.look(ctx)
	if err != nil {
		return "", err
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(v); err != nil {
		return "", fmt.Errorf("metrics: %w", err)
	}
	families, err := registry.Gather()
	if err != nil {
		return "", fmt.Errorf("metrics: %w", err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return "", fmt.Errorf("metrics: %w", err)
		}
	}
	return b.String(), nil
}

// view is what the appliance was like at one moment. It is a prometheus.Collector whose
// metrics aren't known in advance, as the counters aren't.
type view struct {
	status   api.Status
	peers    []api.Peer
	blocks   []api.Block
	counters []api.Counter
}

func (r *Reporter) look(ctx context.Context) (v view, err error) {
	if v.status, err = r.source.Status(ctx); err != nil {
		return view{}, err
	}
	if v.peers, err = r.source.Peers(ctx); err != nil {
		return view{}, err
	}
	if v.blocks, err = r.source.Blocks(ctx); err != nil {
		return view{}, err
	}
	v.counters, err = r.source.Counters(ctx)
	return v, err
}

// Describe describes nothing: the registry takes what Collect brings.
func (view) Describe(chan<- *prometheus.Desc) {}

// Collect sends every metric.
func (v view) Collect(to chan<- prometheus.Metric) {
	s := sink(to)
	v.appliance(s)
	v.groups(s)
	v.sessions(s)
	v.pool(s)
	for _, c := range v.counters {
		s.counted(c)
	}
}

// sink takes metrics.
type sink chan<- prometheus.Metric

func (s sink) gauge(name, help string, value float64, labels ...string) {
	s.send(prometheus.GaugeValue, name, help, value, labels)
}

func (s sink) counter(name, help string, value uint64, labels ...string) {
	s.send(prometheus.CounterValue, name, help, float64(value), labels)
}

// send sends a metric; labels are names and values in turn.
func (s sink) send(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	s <- prometheus.MustNewConstMetric(prometheus.NewDesc("landbridge_"+name, help, names, nil), kind, value, values...)
}
