package managed

// Endpoint is one method on one path, below the prefix that Mount is given.
type Endpoint struct{ Method, Path string }

// Endpoints lists what a flavour serves to those who have a credential, in the order of the documentation. It
// is the list that docs/compatibility.md is made of.
func Endpoints(fl *Flavour) []Endpoint {
	var list []Endpoint
	for _, rt := range (&Face{}).routes() {
		if rt.in(fl) && !rt.public {
			list = append(list, Endpoint{rt.method, rt.path})
		}
	}
	return list
}
