"""What people read: the site, and the dashboards of BI tools as code."""
