/** The roles of a group in words. */
export const roleWords = {
  owner: { label: "Owner", as: "as its owner", can: "everything, also hand over and delete the group" },
  admin: { label: "Admin", as: "as an admin", can: "manage members, settings and device tokens" },
  member: { label: "Member", as: "as a member", can: "submit tasks and run workers" },
  viewer: { label: "Viewer", as: "as a viewer", can: "look at everything" },
} as const;
