package admin

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/iam"
)

// Paging asks for a part of a list. There is one order, that of the ids, so there is nothing else to sort by.
type Paging struct {
	After string `query:"after" maxLength:"600" doc:"cursor: next of the answer before"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Sort  string `query:"sort" enum:"id" default:"id"`
}

// paged is a part of a list.
type paged[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"cursor of the following part; absent at the end"`
}

// page reads the cursor, which belongs to one list: it names the row after which to go on, and is worth nothing more.
func (p Paging) page(list string) (iam.Page, error) {
	page := iam.Page{Limit: p.Limit}
	if p.After == "" {
		return page, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(p.After)
	id, ours := strings.CutPrefix(string(raw), list+":")
	if err != nil || !ours || id == "" || !utf8.Valid(raw) || strings.ContainsAny(p.After, "\r\n") {
		return page, titled(http.StatusUnprocessableEntity, "after is no cursor of this list")
	}
	page.After = id
	return page, nil
}

func cursor(list, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + ":" + id))
}

// part makes an answer of rows that were read with one row more than asked: if it is there, there is a next part.
func part[Row, T any](list string, limit int, rows []Row, id func(Row) string, view func(Row) T) paged[T] {
	var answer paged[T]
	if len(rows) > limit {
		rows = rows[:limit]
		answer.Next = cursor(list, id(rows[limit-1]))
	}
	answer.Items = make([]T, len(rows))
	for i, row := range rows {
		answer.Items[i] = view(row)
	}
	return answer
}
