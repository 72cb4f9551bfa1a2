// Package console serves the appliance's REST API.
package console
