package console

import "net/http"

const (
	statusInvalid     = http.StatusUnprocessableEntity
	statusNotFound    = http.StatusNotFound
	statusConflict    = http.StatusConflict
	statusUnavailable = http.StatusServiceUnavailable
)
