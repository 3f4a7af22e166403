package api

// Environment is what a guest is told of itself and of the machines that came
// with it: an OVF environment, in the file ovf-env.xml on a CD that is made
// anew before each start.
type Environment struct {
	ID         string            `json:"id,omitempty" doc:"what the appliance calls the machine"`
	Drive      string            `json:"drive,omitempty" doc:"the optical drive that the CD is in"`
	Properties map[string]string `json:"properties,omitempty" doc:"values by their full keys; that of a secret is shown as ********"`
	Secrets    []string          `json:"secrets,omitempty" doc:"keys of properties whose values are not shown"`
	Entities   []Entity          `json:"entities,omitempty" readOnly:"true" doc:"the other machines of the appliance"`
}

// Entity is another machine of the appliance that a machine came with.
type Entity struct {
	Name       string            `json:"name,omitempty" doc:"what the appliance calls the machine"`
	Properties map[string]string `json:"properties,omitempty" doc:"values by their full keys"`
}
