package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/panalvm/panal/api"
)

// PlanImportStream tells what an import of what content gives would make. No more
// of it is read than the description needs.
func (c *Client) PlanImportStream(ctx context.Context, what api.ImportRequest, content io.Reader) (api.ImportPlan, error) {
	return send[api.ImportPlan](ctx, c, api.PlanImportStream, what, content)
}

// ImportStream makes machines of what content gives: an OVA, an XVA or a disk,
// also compressed. It returns when they are made. When content ends with an
// error, or ctx ends, nothing is made.
func (c *Client) ImportStream(ctx context.Context, what api.ImportRequest, content io.Reader) (api.ImportResult, error) {
	return send[api.ImportResult](ctx, c, api.ImportStream, what, content)
}

// send makes a request that content goes along with.
func send[T any](ctx context.Context, c *Client, operation api.Operation, what api.ImportRequest, content io.Reader) (T, error) {
	var answer T
	httpRequest, err := c.compose(ctx, operation, what, content)
	if err != nil {
		return answer, err
	}
	response, err := c.http.Do(httpRequest)
	if err != nil {
		return answer, c.unreachable(ctx, operation, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return answer, readProblem(operation, response)
	}
	data, err := readAll(response.Body, maxAnswer)
	if err == nil {
		err = json.Unmarshal(data, &answer)
	}
	if err != nil {
		return answer, c.broken(ctx, operation, err)
	}
	return answer, nil
}

// compose makes the request of two parts, of which the second is read as it is
// sent. What ends early is cut off, and never looks complete.
func (c *Client) compose(ctx context.Context, operation api.Operation, what api.ImportRequest, content io.Reader) (*http.Request, error) {
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	if err := writeParts(form, what); err != nil {
		return nil, &api.Problem{Kind: api.KindInvalid, Detail: fmt.Sprintf("%s: write the request: %v", operation.ID, err)}
	}
	tail := "\r\n--" + form.Boundary() + "--\r\n"
	address, err := target(request{operation: operation})
	if err != nil {
		return nil, err
	}
	whole := io.MultiReader(&head, content, bytes.NewBufferString(tail))
	made, err := http.NewRequestWithContext(ctx, operation.Method, address, io.NopCloser(whole))
	if err != nil {
		return nil, &api.Problem{Kind: api.KindInvalid, Detail: fmt.Sprintf("%s: make the request: %v", operation.ID, err)}
	}
	made.Header.Set("Content-Type", form.FormDataContentType())
	made.Header.Set("Accept", "application/json")
	made.Header.Set("User-Agent", c.options.UserAgent)
	return made, nil
}

func writeParts(form *multipart.Writer, what api.ImportRequest) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if err := form.WriteField("request", string(text)); err != nil {
		return err
	}
	_, err = form.CreateFormFile("content", "content")
	return err
}
