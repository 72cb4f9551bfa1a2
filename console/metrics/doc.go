// Package metrics says in Prometheus' text format what an appliance counts and measures.
//
// It is not for counting: everything comes from the API's own objects, at the moment that it is asked for.
//
//	Source    what is asked: the API's status, peers, blocks and counters
//	New       makes a Reporter, with a registry of its own
//	Reporter  writes the text
//
// Each counter of the API becomes a metric of its own, landbridge_COMPONENT_NAME_total; those that are states and not
// counts are gauges, landbridge_COMPONENT_NAME. What has labels is bounded: groups are few, path kinds and states
// are enumerations, and of members the first maxMembers by ID have series of their own
// (landbridge_session_series_omitted says how many haven't).
//
// docs/metrics.md lists the metrics, and docs/grafana.json shows them; tests hold both to what is here.
package metrics
