// Package division says which hosts of a LAN are of which group, where an appliance is in several.
//
// Each group has its own TAP, gateway MAC, services and host table, and those whose LAN port is the
// same share its bridge. Which group a host is of is decided by its MAC: the configuration
// names hosts, and others are registered while the appliance runs. A host is of one group at most.
//
// It is not for bridges and ports, which it only names, nor for what becomes of a host's frames.
//
//   - [Territory]: a group as far as the division goes.
//   - [Divide]: the [Division] of the groups' hosts, or why they can't be told apart.
//   - [PortOf], [PortsOf]: the LAN ports that the groups have.
//
// All of it is pure; a Division doesn't change, and is replaced when groups, members or registered hosts do.
package division
