// Package report keeps what was measured and shows it: samples as JSON lines, medians as
// Markdown tables between two markers of a document, and bars as an SVG.
//
//	Sample -> Writer -> samples.jsonl -> Read -> Summary -> WriteMarkdown, WriteSVG
//
// A summary's figure is the median of the repetitions. Those in which others used the
// machine (see Quiet) don't count if at least two others are left. It measures nothing. Curves and Place are also for
// programs that keep no samples.
package report
