package recipe

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// use is what a file is for.
type use struct {
	noun  string
	limit int64
	look  func([]byte) error
}

var (
	useKeys      = use{"key set", 64 << 10, checkKeySet}
	useLogo      = use{"logo", 64 << 10, checkLogo}
	usePasswords = use{"password list", 8 << 20, checkPasswordList}
	useNetworks  = use{"list of networks", 8 << 20, checkNetworks}
	useRoots     = use{"list of certificates", 256 << 10, checkRoots}
	useSchema    = use{"JSON Schema", 64 << 10, checkSchema}
)

func (u use) check(content []byte) error {
	if int64(len(content)) > u.limit {
		return refuse("make it smaller", "the file is longer than %d bytes, the most for a %s", u.limit, u.noun)
	}
	return u.look(content)
}

// namedFile is a file that a recipe names, and where.
type namedFile struct {
	name string
	at   path
	use  use
}

// files lists what the recipe names, in the order of the names of clients.
func (r *Recipe) files() []namedFile {
	var all []namedFile
	add := func(name string, at path, use use) {
		if name != "" {
			all = append(all, namedFile{name, at, use})
		}
	}
	add(r.Company.Logo, path("company").key("logo"), useLogo)
	add(r.SignIn.PasswordList, path("signin").key("password_list"), usePasswords)
	for i, name := range r.SignIn.Passkeys.Roots {
		add(name, path("signin").key("passkeys").key("roots").index(i), useRoots)
	}
	add(r.Risk.Addresses, path("risk").key("addresses"), useNetworks)
	for _, name := range slices.Sorted(maps.Keys(r.Clients)) {
		add(r.Clients[name].JWKS, path("clients").key(name).key("jwks"), useKeys)
	}
	for _, name := range slices.Sorted(maps.Keys(r.APIs)) {
		api, at := r.APIs[name], path("apis").key(name)
		add(api.JWKS, at.key("jwks"), useKeys)
		for _, kind := range slices.Sorted(maps.Keys(api.Details)) {
			add(api.Details[kind].Schema, at.key("authorization_details").key(kind).key("schema"), useSchema)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Issuers)) {
		add(r.Issuers[name].JWKS, path("issuers").key(name).key("jwks"), useKeys)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Registration)) {
		for i, entry := range r.Registration[name].Statements {
			_, file := statement(entry)
			add(file, path("registration").key(name).key("software_statements").index(i), useKeys)
		}
	}
	return all
}

// Load reads the recipe at name, the overlay of env beside it (recipe.ENV.yaml; none when env is ""), and every file that
// they name. Files stand in the recipe's own folder or below; nothing outside it is opened, not even through a link.
func Load(name, env string, now time.Time) (*Bundle, error) {
	if env != "" && !isName(env) {
		return nil, fmt.Errorf("recipe: %s is not the name of an environment: %s", show(env), nameHint)
	}
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, fmt.Errorf("open the folder of the recipe: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing was written
	names := []string{filepath.Base(name)}
	if env != "" {
		ext := filepath.Ext(names[0])
		names = append(names, strings.TrimSuffix(names[0], ext)+"."+env+ext)
	}
	var sources []Source
	for _, source := range names {
		text, err := readFile(root, source, maxSource)
		if err != nil {
			return nil, unread(source, err)
		}
		sources = append(sources, Source{source, text})
	}
	bundle, r, err := gather(sources, now)
	if bundle == nil {
		return nil, err
	}
	err = r.attach(bundle, env, func(named namedFile) ([]byte, error) {
		content, err := readFile(root, named.name, named.use.limit)
		if err != nil {
			return nil, refuse("put a plain file there", "the file %s can't be read: %s", show(named.name), reason(err))
		}
		return content, nil
	})
	if err != nil {
		return nil, err
	}
	return bundle, nil
}

// reason keeps absolute paths of the machine out of faults.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// localName admits a clean relative path with forward slashes.
func localName(name string) bool {
	return fs.ValidPath(name) && name != "." && filepath.IsLocal(filepath.FromSlash(name)) && plainText(name) &&
		utf8.ValidString(name) && !strings.Contains(name, "\\") && len(name) <= 1000
}

// readFile reads a plain file, one byte more than the limit at most, so that the limit's own check sees the excess.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	// Asked before it is opened: opening a pipe would wait for its writer.
	if info, err := root.Stat(filepath.FromSlash(name)); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a plain file")
	}
	file, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	return io.ReadAll(io.LimitReader(file, limit+1))
}

// checkKeySet sees that the file is one JSON object with a list of public keys, each member once. Whether the keys are
// strong enough is judged where keys are used.
func checkKeySet(content []byte) error {
	if err := strictJSON(content); err != nil {
		return err
	}
	var set map[string]json.RawMessage
	var keys []map[string]json.RawMessage
	if json.Unmarshal(content, &set) != nil || json.Unmarshal(set["keys"], &keys) != nil || len(keys) == 0 || len(keys) > 32 {
		return refuse(`write {"keys": [...]} with 1 to 32 keys (RFC 7517 section 5)`, "the file is not a key set")
	}
	for _, key := range keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
			if _, there := key[private]; there {
				return refuse("publish public keys only, and replace this one: it has been copied", "the key set holds a private or symmetric key")
			}
		}
		if kty := string(key["kty"]); kty != `"EC"` && kty != `"OKP"` && kty != `"RSA"` {
			return refuse("the kinds are EC, OKP and RSA", "the key set holds a key of another kind")
		}
	}
	return nil
}

// checkSchema sees that the file is one JSON object that takes nothing from elsewhere. What it means is judged where
// details are.
func checkSchema(content []byte) error {
	if err := strictJSON(content); err != nil {
		return err
	}
	var schema map[string]any
	if json.Unmarshal(content, &schema) != nil || len(schema) == 0 {
		return refuse("write one object, as {type: object, properties: ...} in JSON", "the file is no JSON Schema")
	}
	if dialect, named := schema["$schema"]; named && dialect != schemaDialect {
		return refuse("write "+schemaDialect+", or leave $schema out", "the schema is of another dialect")
	}
	if foreignReference(schema) {
		return refuse("write what it refers to under $defs", "the schema refers to something outside itself")
	}
	return nil
}

// foreignReference looks for a $ref that leaves the document: nothing is fetched to judge a request.
func foreignReference(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			text, isText := member.(string)
			if (name == "$ref" || name == "$dynamicRef") && isText && !strings.HasPrefix(text, "#") || foreignReference(member) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, foreignReference)
	}
	return false
}

// strictJSON refuses what two readers may read in two ways: doubled members, invalid UTF-8, anything behind the value,
// nesting beyond maxDepth.
func strictJSON(content []byte) error {
	broken := refuse("write one JSON object, each member once", "the file is not strict JSON")
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	if !utf8.Valid(content) || strictValue(decoder, 0) != nil {
		return broken
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return broken
	}
	return nil
}

var errLoose = errors.New("not strict")

func strictValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil || depth > maxDepth {
		return errLoose
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for decoder.More() {
		if delim == '{' {
			name, err := decoder.Token()
			text, ok := name.(string)
			if err != nil || !ok || seen[text] {
				return errLoose
			}
			seen[text] = true
		}
		if err := strictValue(decoder, depth+1); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

func checkPasswordList(content []byte) error {
	if !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
		return refuse("save it as UTF-8", "the file is not a list of passwords, one a line")
	}
	return nil
}

// checkLogo admits a PNG, or an SVG without script and without anything from elsewhere.
func checkLogo(content []byte) error {
	if bytes.HasPrefix(content, []byte("\x89PNG\r\n\x1a\n")) {
		return nil
	}
	decoder := xml.NewDecoder(bytes.NewReader(content))
	root := ""
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return refuse("save it again as PNG or plain SVG", "the file is neither a PNG nor an SVG")
		}
		switch t := token.(type) {
		case xml.Directive:
			return refuse("remove the DOCTYPE", "the SVG has a DOCTYPE")
		case xml.StartElement:
			if root == "" {
				root = t.Name.Local
			}
			if activeElement(t) {
				return refuse("save it as plain SVG: shapes and colours only", "the SVG has a script or takes something from elsewhere")
			}
		}
	}
	if root != "svg" {
		return refuse("save it again as PNG or plain SVG", "the file is neither a PNG nor an SVG")
	}
	return nil
}

func activeElement(element xml.StartElement) bool {
	switch strings.ToLower(element.Name.Local) {
	case "script", "foreignobject", "style", "iframe", "object", "embed", "handler", "listener", "animate", "set":
		return true
	}
	return slices.ContainsFunc(element.Attr, func(a xml.Attr) bool {
		name := strings.ToLower(a.Name.Local)
		return strings.HasPrefix(name, "on") || (name == "href" || name == "src") && !strings.HasPrefix(a.Value, "#") ||
			strings.Contains(strings.ToLower(a.Value), "url(") && !strings.Contains(a.Value, "url(#")
	})
}

// unread says of a file that could not be read what a person can do about it.
func unread(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s: name the recipe's file, or write a first one with garde init DIR", shown(name))
	}
	return fmt.Errorf("read %s: %w", show(name), err)
}
