-- Products by net sales in the month, with the units, less what came back.
select
    products.product_name,
    sum(sales.net_reporting_amount) as net_sales_amount,
    sum(sales.quantity) as units
from commerce.fct_sales as sales
inner join commerce.dim_products as products on sales.product_version_key = products.product_version_key
where sales.is_net_sales and sales.business_date between :first_day and :last_day
group by products.product_name
order by net_sales_amount desc, products.product_name
