package web

import (
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// document shows the API's document.
func (p *Pages) document(c echo.Context) error {
	answer, err := ask[api.GetDocumentRequestObject, api.GetDocumentResponseObject, api.GetDocument200ApplicationVndOaiOpenapiResponse](
		c, p.api.GetDocument, api.GetDocumentRequestObject{})
	if err != nil {
		return p.fail(c, err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return p.fail(c, err)
	}
	d, err := readDocument(text)
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "api", d)
}
