package web

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
)

// These take a copy of a state and an update of the image, which are larger than all other bodies.
const (
	RestorePath = "/system/restore"
	UpdatePath  = "/system/update"
)

const (
	maxUploadFields = 16
	maxUploadField  = 1 << 10 // bytes
)

var errUpload = errors.New("the form has no file, or too much besides it")

// OpenUpload reads the fields of a multipart form up to its file, and has the request's body be that file,
// so that it is read as it comes. Once it has been done it does nothing.
func OpenUpload(r *http.Request) error {
	if r.MultipartForm != nil {
		return nil
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return err
	}
	fields := url.Values{}
	for range maxUploadFields {
		part, err := parts.NextPart()
		if err != nil {
			return err
		}
		if part.FileName() != "" || part.FormName() == "file" {
			r.Form, r.PostForm, r.MultipartForm = fields, fields, &multipart.Form{Value: fields}
			r.Body = part
			return nil
		}
		value, err := io.ReadAll(io.LimitReader(part, maxUploadField+1))
		if err != nil {
			return err
		}
		if len(value) > maxUploadField {
			return errUpload
		}
		fields.Add(part.FormName(), string(value))
	}
	return errUpload
}
